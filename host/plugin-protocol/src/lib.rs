//! Messages between the server and its plugin workers: child processes that compile and run plugins.
//!
//! A worker may be under a hostile plugin's control. So the server bounds the length of each message, waits for none longer
//! than its deadline, and checks every result against the contract.
//!
//! | module | content |
//! |---|---|
//! | `message` | requests of the server, and replies of a worker |
//! | `channel` | a socket pair that carries messages, each with a file descriptor at most |
//! | `shared_bytes` | sealed memory that both sides read |

mod channel;
mod message;
mod shared_bytes;

pub use channel::{Channel, ChannelError};
pub use message::{
    CallFailure, CallRequest, CallResult, CallReturn, CallValue, CompiledComponent, Description, InspectedComponent,
    LookupRequest, PluginCall, PluginWorld, ProcessLimits, Rejection, Reply, Request, Walls, WireIds, WireLogEntry,
    WireLookupAnswer, WireLookupRefusal,
};
pub use shared_bytes::SharedBytes;
