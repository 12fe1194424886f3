//! What the host makes of a plugin's answers. Its own bindings are the engine's; the SDK's are of the same contract.

use sluice_sdk::bindings;

#[path = "../../host/src/plugin/chance.rs"]
mod chance;
#[path = "../../host/src/plugin/contract.rs"]
mod contract;
#[path = "../../host/src/plugin/failure.rs"]
mod failure;
#[path = "../../host/src/plugin/planned.rs"]
mod planned;
#[path = "../../host/src/plugin/platform_contract.rs"]
mod platform_contract;
#[path = "../../host/src/plugin/properties.rs"]
pub mod properties;
#[path = "../../host/src/plugin/returned.rs"]
mod returned;
#[path = "../../host/src/plugin/vocabulary.rs"]
mod vocabulary;
