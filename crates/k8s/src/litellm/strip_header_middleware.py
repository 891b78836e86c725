"""Takes a header away that Bedrock and Vertex refuse, where it says nothing else."""

from litellm.integrations.custom_logger import CustomLogger

HEADER = "anthropic-beta"
REFUSED = "claude-code-20250219"
PLACES = (
    ("proxy_server_request", "headers"),
    ("provider_specific_header", "extra_headers"),
    ("litellm_metadata", "headers"),
)


class StripHeader(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        for outer, inner in PLACES:
            headers = (data.get(outer) or {}).get(inner)
            if isinstance(headers, dict) and headers.get(HEADER) == REFUSED:
                del headers[HEADER]
        return data


strip_header_callback = StripHeader()
