"""What the routes ask of ClickHouse: SQL files and typed functions. Every value from outside is a bound parameter."""
