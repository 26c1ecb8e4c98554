"""The desktop application: views, presenters, models."""
