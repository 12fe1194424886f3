//! A definition as plain text, for a terminal.

use crate::definition::{CodeDefinition, CodePlace, ResponsibleParty};

/// Width of the text in characters. Examples are not wrapped.
const WIDTH: usize = 90;

/// Indentation of the parts below their titles.
const INDENT: &str = "  ";

impl CodeDefinition {
    /// Returns the definition as text of several lines.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n", self.code);
        let mut part = |title: &str, lines: Vec<String>| {
            text += title;
            text.push('\n');
            for line in lines {
                text += format!("{INDENT}{line}").trim_end();
                text.push('\n');
            }
            text.push('\n');
        };
        part("Meaning", wrapped(&self.meaning));
        part("Likely cause", wrapped(&self.cause));
        part("What to do", wrapped(&self.remedy));
        part("Example", self.example.lines().map(str::to_owned).collect());
        part("Where", wrapped(&self.places_text()));
        if !self.blame.is_empty() {
            let parties: Vec<&str> = self.blame.iter().map(|party| ResponsibleParty::description(*party)).collect();
            part("Who acts", wrapped(&parties.join("; or ")));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// Returns the places of the code in words, with the statuses of problems.
    pub fn places_text(&self) -> String {
        let statuses: Vec<String> = self.status.iter().map(u16::to_string).collect();
        let place = |place: &CodePlace| match place {
            CodePlace::Problem => format!("{} (status {})", place.description(), statuses.join(" or ")),
            _ => place.description().to_owned(),
        };
        self.places.iter().map(place).collect::<Vec<_>>().join(", ")
    }
}

/// Splits a text into lines of at most `WIDTH` characters, at blanks.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![];
    let mut line = String::new();
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && INDENT.len() + length > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use crate::{all, find};

    #[test]
    fn has_the_parts_in_order() {
        let expected = "\
PLUGIN_REFUSED

Meaning
  The component is not a plugin for this server.

Likely cause
  It is a core module, imports something that a plugin may not use, was built for another
  version of the contract, or fails on an empty record.

What to do
  Do what the detail says, and check the component with `sluice plugin inspect FILE`.

Example
  sluice plugin push my_mapper.wasm
  422 \"The plugin is refused: it imports wasi:sockets/tcp, and a plugin has no network. Build it with --stub-wasi.\"

Where
  problem of a failed request (status 422), result of a failed job, last line of an upload

Who acts
  the author of the plugin
";
        assert_eq!(find("PLUGIN_REFUSED").unwrap().to_text(), expected);
    }

    #[test]
    fn lines_of_sentences_fit_the_width() {
        for definition in all() {
            let text = definition.to_text();
            let longest = text.split("\nExample\n").next().unwrap().lines().map(|line| line.chars().count()).max();
            assert!(longest.unwrap() <= super::WIDTH, "{text}");
            assert!(text.contains(definition.example.lines().next().unwrap()), "{text}");
        }
    }
}
