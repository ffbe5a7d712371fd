"""The dialect `anthropic`."""
