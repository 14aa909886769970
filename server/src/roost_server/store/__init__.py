"""The only room that knows SQL. Functions take a transaction and give back domain objects."""
