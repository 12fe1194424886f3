//! Words that are known beforehand, such as fields' names, compared with what a record has.

/// Whether two words are the same. What `==` calls looks at one byte after the other in the sandbox, and asks with each
/// of them whether time is up (an eighth of a domain plugin's time); here it is eight at a time.
#[inline]
pub(crate) fn same(known: &str, word: &str) -> bool {
    let (known, word) = (known.as_bytes(), word.as_bytes());
    if known.len() != word.len() {
        return false;
    }
    match (known.last_chunk::<8>(), word.last_chunk::<8>()) {
        (Some(end), Some(end_of_word)) => {
            let (eights, _) = known.as_chunks::<8>();
            let (eights_of_word, _) = word.as_chunks::<8>();
            end == end_of_word && eights.iter().zip(eights_of_word).all(|(eight, other)| eight == other)
        }
        _ => known.iter().zip(word).all(|(byte, other)| byte == other),
    }
}
