//! Answers to the lookups of a plugin.

use std::sync::Arc;

use sluice_config::PluginLimits;
use sluice_contract::output_validation::unpack;
use sluice_contract::wire::Batch;
use sluice_contract::{LookupAnswer, LookupRefusal, RecordLookup, SourceLookup};
use sluice_model::Code;
use sluice_plugin_protocol::{ChannelError, LookupRequest, WireIds, WireLookupAnswer, WireLookupRefusal};

/// Lookups of an instance.
#[derive(Clone)]
pub(crate) enum Lookups {
    /// None: the plugin gets `unknown-name`.
    None,
    /// Lookups of a mapper.
    Sources(Arc<dyn SourceLookup>),
    /// Lookups of a domain plugin.
    Records(Arc<dyn RecordLookup>),
}

impl Lookups {
    /// Answers a lookup. A failure of the host itself is noted in `unavailable`.
    ///
    /// # Errors
    ///
    /// Fails if the request is one that an intact worker does not send.
    pub fn answer(
        &self,
        request: LookupRequest,
        limits: &PluginLimits,
        unavailable: &mut Option<Code>,
    ) -> Result<Result<WireLookupAnswer, WireLookupRefusal>, ChannelError> {
        let most = limits.lookup_bytes;
        let found = match (self, &request) {
            (Self::Sources(sources), LookupRequest::Find(source, field, keys)) => {
                let keys = unpack(keys).filter(|keys| keys.len() <= limits.lookup_keys);
                sources.find(source, field, &keys.ok_or(ChannelError::Malformed)?, most)
            }
            (Self::Records(records), LookupRequest::Exist(entity_type, ids)) => {
                let places = records.exist(entity_type, &within(ids, limits)?);
                places.map(|bytes| LookupAnswer { bytes, ..LookupAnswer::default() })
            }
            (Self::Records(records), LookupRequest::Read(entity_type, ids)) => {
                records.read(entity_type, &within(ids, limits)?, most)
            }
            (Self::Records(records), LookupRequest::Referring(entity_type, field, ids)) => {
                records.referring(entity_type, field, &within(ids, limits)?, most)
            }
            _ => Err(LookupRefusal::UnknownName),
        };
        Ok(match found {
            Ok(LookupAnswer { answers, bytes, ends }) => {
                Ok(WireLookupAnswer { answers, records: Batch { bytes, ends } })
            }
            Err(LookupRefusal::UnknownName) => Err(WireLookupRefusal::UnknownName),
            Err(LookupRefusal::UnknownField) => Err(WireLookupRefusal::UnknownField),
            Err(LookupRefusal::TooLarge) => Err(WireLookupRefusal::TooLarge),
            Err(LookupRefusal::Unavailable(why)) => {
                *unavailable = Some(why);
                Err(WireLookupRefusal::Unavailable)
            }
        })
    }
}

fn within(ids: &WireIds, limits: &PluginLimits) -> Result<Vec<[u8; 16]>, ChannelError> {
    let ids = ids.ids();
    if ids.len() <= limits.lookup_keys { Ok(ids) } else { Err(ChannelError::Malformed) }
}
