//! What a problem document says in words: sentences of this source, with figures and words in their gaps.

use std::borrow::Cow;
use std::fmt::{self, Display};

use serde::Serialize;
use uuid::Uuid;

use super::{Code, Digest, FieldPath, Name, Title, Version};

/// A sentence or two. There is no way to make one of a `String`: write it in the source, with `told!` where it has
/// gaps.
///
/// ```compile_fail
/// use sluice::model::Detail;
/// let _ = Detail::from(format!("The surname is {}.", "Novák"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail(Cow<'static, str>);

impl From<&'static str> for Detail {
    fn from(sentence: &'static str) -> Self {
        Self(Cow::Borrowed(sentence))
    }
}

impl Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Detail {
    /// For `told!` alone, which sees to it that the gaps hold nothing else than what may be told.
    #[doc(hidden)]
    pub fn told(sentence: fmt::Arguments) -> Self {
        Self(Cow::Owned(sentence.to_string()))
    }
}

/// What may stand in a gap: figures, ids and words.
pub trait Tellable {
    /// As it stands there.
    fn tell(&self) -> impl Display;
}

macro_rules! tellable {
    ($($type:ty),* $(,)?) => {
        $(impl Tellable for $type {
            fn tell(&self) -> impl Display {
                self
            }
        })*
    };
}

tellable! { &'static str, u16, u32, u64, usize, Uuid, Code, Name, Version, Title, Digest, FieldPath }

impl<T: Tellable> Tellable for &T {
    fn tell(&self) -> impl Display {
        (*self).tell()
    }
}

impl<T: Tellable> Tellable for Vec<T> {
    fn tell(&self) -> impl Display {
        self.iter().map(|item| item.tell().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// A [`Detail`] with gaps: a format of this source, and what may be told.
#[macro_export]
macro_rules! told {
    ($sentence:literal $(, $gap:expr)* $(,)?) => {
        $crate::Detail::told(format_args!($sentence $(, $crate::Tellable::tell(&$gap))*))
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn gaps_are_filled() {
        let detail = told!("{} has {} of: {}.", super::Name::new("berka"), 2_u64, vec!["client", "loan"]);
        assert_eq!(detail.to_string(), "berka has 2 of: client, loan.");
    }
}
