"""What crosses the HTTP border: questions, bodies and answers. The OpenAPI document is made from these classes."""
