"""The words that stepbus and its workers share: envelope, messages, stored events and task templates."""
