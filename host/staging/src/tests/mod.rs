//! Tests of whole staging areas: damaged files, and sealing.

mod damaged_journal;
mod sealing;
