//! The server killed at random moments while it imports: each thing is there once. `SLUICE_KILLS` says how often.
