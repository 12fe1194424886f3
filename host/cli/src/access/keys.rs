//! `sluice keys`: rotation of the keys that sign tokens.

use anyhow::Result;
use clap::Subcommand;
use jiff::Timestamp;
use sluice_audit::Action;
use sluice_server::access::Access;

use crate::output::print;
use crate::server::data_dir::DataDirArgs;

/// Verbs of `sluice keys`.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Sign new tokens with a new key; tokens that were signed before stay valid until they expire
    Rotate {
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
}

/// Runs a verb of `sluice keys` and returns its exit code.
pub fn run(command: KeysCommand) -> Result<u8> {
    let KeysCommand::Rotate { data_dir } = command;
    let (config, keyring) = (data_dir.config()?, data_dir.open_keys()?.into());
    data_dir.audit(Action::TokenKeyReplaced, |entry| entry.client("tokens"))?;
    let id = Access::new(data_dir.store()?.into(), keyring, &config.access).rotate_keys(Timestamp::now())?;
    print(&format!("Tokens are signed with key {id} from now on.\n"))?;
    Ok(0)
}
