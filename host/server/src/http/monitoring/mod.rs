//! Logs, events, health and metrics.

pub mod events;
pub mod health;
pub mod logs;
pub mod metrics;
