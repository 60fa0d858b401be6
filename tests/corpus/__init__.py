"""Bad input for every endpoint, from the OpenAPI document and the models; see docs/reliability.md."""
