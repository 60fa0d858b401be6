"""The REST door: translate a request, make one domain call, translate the outcome back.

``endpoint`` is the frame that every call runs in, ``wire`` says what values look like, ``problems`` what an error looks
like. What a handler's annotations say is what is validated and what the OpenAPI document shows.
"""
