"""What the servers of both Python SDK lines ask, and what they remember of it; see asking.mjs."""
import json

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def who(tag):
    return f"Who are you? {tag}"


def visit(tag):
    return {"message": f"Sign in {tag}", "url": f"https://example.com/sign-in?{tag}"}


def messages(tag):
    return [{"role": "user", "content": {"type": "text", "text": f"Say hello {tag}"}}]


def tools(tag):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    return [{"name": "weather", "description": tag, "inputSchema": schema}]


MAX_TOKENS = 50

# What became of the calls of slow_ask, by their tags.
RECORD = {"asked": [], "answered": [], "cancelled": []}


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def text(value):
    return json.dumps(value)
