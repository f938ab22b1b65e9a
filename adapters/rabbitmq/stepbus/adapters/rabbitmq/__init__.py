"""The bus on RabbitMQ."""
