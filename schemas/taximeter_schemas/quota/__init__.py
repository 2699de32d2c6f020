"""The vocabulary of quotas: what is limited, for whom and over which window; what is asked, and what is answered."""
