//! Messages: sentences that are fixed in the source, with safe values in their gaps.

use std::borrow::Cow;
use std::fmt::{self, Display};

use serde::Serialize;
use uuid::Uuid;

use super::{Code, Digest, FieldName, FieldPath, HeaderName, Name, PluginTitle, Version};

/// A message of one or two sentences. It cannot be made of a `String`, so it cannot quote a record: write the sentence
/// in the source, and use [`message!`](crate::message!) if it has gaps.
///
/// ```
/// use sluice_model::{Message, Name, message};
/// let _ = Message::from("The surname is missing.");
/// let _ = message!("The source {} is missing.", Name::new("loan"));
/// ```
///
/// ```compile_fail,E0277
/// use sluice_model::Message;
/// let _ = Message::from(format!("The surname is {}.", "Novák"));
/// ```
///
/// ```compile_fail,E0277
/// use sluice_model::message;
/// let _ = message!("The surname is {}.", String::from("Novák"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message(Cow<'static, str>);

impl From<&'static str> for Message {
    fn from(sentence: &'static str) -> Self {
        Self(Cow::Borrowed(sentence))
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Message {
    /// Formats a message. Only [`message!`](crate::message!) may call it, because the macro checks the types in the
    /// gaps.
    #[doc(hidden)]
    pub fn from_format(sentence: fmt::Arguments) -> Self {
        Self(Cow::Owned(sentence.to_string()))
    }
}

/// A value that may stand in a gap of a message: a number, an id or a word.
pub trait SafeText {
    /// Returns the text that stands in the gap.
    fn safe_text(&self) -> impl Display;
}

macro_rules! safe_text {
    ($($type:ty),* $(,)?) => {
        $(impl SafeText for $type {
            fn safe_text(&self) -> impl Display {
                self
            }
        })*
    };
}

safe_text! { &'static str, u16, u32, u64, usize, Uuid, Code, Name, Version, PluginTitle, Digest, FieldPath, FieldName, HeaderName }

impl<T: SafeText> SafeText for &T {
    fn safe_text(&self) -> impl Display {
        (*self).safe_text()
    }
}

impl<T: SafeText> SafeText for Vec<T> {
    fn safe_text(&self) -> impl Display {
        self.iter().map(|item| item.safe_text().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Formats a [`Message`] of a sentence literal and of values that implement [`SafeText`].
#[macro_export]
macro_rules! message {
    ($sentence:literal $(, $gap:expr)* $(,)?) => {
        $crate::Message::from_format(format_args!($sentence $(, $crate::SafeText::safe_text(&$gap))*))
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn gaps_are_filled() {
        let message = message!("{} has {} of: {}.", super::Name::new("berka"), 2_u64, vec!["client", "loan"]);
        assert_eq!(message.to_string(), "berka has 2 of: client, loan.");
    }
}
