"""What the API answers, as frozen models: names in snake_case, money as Decimal dollars, times in UTC.

Members that a newer API adds are left out of sight; words of closed lists are plain texts, so that a new one is no
error.
"""
