//! Migrations into a platform with an API of its own: plan and ledger.

pub mod bulk_decision;
pub mod ledger;
pub mod plan;
mod plan_page;
