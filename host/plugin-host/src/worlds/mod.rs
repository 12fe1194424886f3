//! Plugins by world: mappers, domain plugins and platform plugins.

pub(crate) mod domain;
pub(crate) mod mapper;
pub(crate) mod platform;
