//! `sluice explain`: meaning, cause, remedy and example of a code.

use anyhow::{Result, bail};
use clap::Args;
use sluice_codes::{all, find, similar};

use crate::output::print;

/// Arguments of `sluice explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// Code to explain, such as WRONG_FIELD_COUNT [default: lists all codes]
    code: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Prints the definition of a code, or lists all codes, and returns the exit code.
pub fn run(args: &ExplainArgs) -> Result<u8> {
    let text = match &args.code {
        Some(code) => {
            let Some(definition) = find(code) else { bail!(unknown(code)) };
            if args.json { format!("{}\n", serde_json::to_string_pretty(definition)?) } else { definition.to_text() }
        }
        None if args.json => format!("{}\n", serde_json::to_string_pretty(all())?),
        None => all().iter().map(|definition| format!("{:<28} {}\n", definition.code, definition.meaning)).collect(),
    };
    print(&text)?;
    Ok(0)
}

/// Returns the message about a code that has no definition.
fn unknown(code: &str) -> String {
    let similar: Vec<&str> = similar(code).into_iter().map(|definition| definition.code.as_str()).collect();
    let similar = if similar.is_empty() {
        "`sluice explain` lists all codes.".into()
    } else {
        format!("Similar codes: {}.", similar.join(", "))
    };
    format!(
        "there is no code {code}. {similar} A mapper declares codes of its own: `sluice plugin inspect FILE` lists them. \
         Rules of the platform are in the Target record reference."
    )
}
