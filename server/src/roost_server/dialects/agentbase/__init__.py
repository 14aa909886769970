"""AgentBase's wire format; `dialect.py` joins the parts."""
