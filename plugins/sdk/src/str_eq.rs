//! Comparison of short texts, such as names of fields, that is fast in the sandbox.

/// Returns true if two texts are equal. It compares eight bytes at a time. In the sandbox, `==` compares single bytes
/// and checks the time limit after each, which takes an eighth of a domain plugin's time.
#[inline]
pub(crate) fn str_eq(known: &str, word: &str) -> bool {
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
