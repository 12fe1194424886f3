//! Idempotency keys: what was answered under them, and what is still in work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::http::Answer;

/// What was asked under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path, with its query.
    pub path: String,
    pub body: Vec<u8>,
}

/// What is known of a key.
enum Known {
    InWork(Asked),
    Answered(Asked, Answer, Instant),
}

/// What is to be done with a request that has a key.
pub enum Begun {
    /// It is new, and now in work.
    New,
    /// It was answered so.
    Answered(Answer),
    InWork,
    /// The key belongs to another request.
    Another,
}

/// The keys, each for as long after its answer.
pub struct Keys {
    kept: Duration,
    known: HashMap<String, Known>,
}

impl Keys {
    #[must_use]
    pub fn new(kept: Duration) -> Self {
        Self { kept, known: HashMap::new() }
    }

    /// Begins a request.
    pub fn begin(&mut self, key: &str, asked: &Asked) -> Begun {
        if let Some(Known::Answered(.., at)) = self.known.get(key)
            && at.elapsed() >= self.kept
        {
            self.known.remove(key);
        }
        match self.known.get(key) {
            Some(Known::InWork(known) | Known::Answered(known, ..)) if known != asked => Begun::Another,
            Some(Known::InWork(_)) => Begun::InWork,
            Some(Known::Answered(_, answer, _)) => Begun::Answered(answer.clone()),
            None => {
                self.known.insert(key.to_owned(), Known::InWork(asked.clone()));
                Begun::New
            }
        }
    }

    /// Ends a request that was new. Only what was done is kept: a refused one may be put right and sent again.
    pub fn end(&mut self, key: &str, asked: Asked, answer: Option<&Answer>) {
        match answer.filter(|answer| (200..300).contains(&answer.status)) {
            Some(answer) => self.known.insert(key.to_owned(), Known::Answered(asked, answer.clone(), Instant::now())),
            None => self.known.remove(key),
        };
    }
}
