"""Floor 5: scoring by bucket, reasons, CRM export."""
