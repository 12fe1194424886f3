//! The stand-in over real HTTP.
