"""What tests share. Nothing here replaces a part of the product."""
