//! Properties of tus's header fields for any text: for tests and for fuzzing.

use arbitrary::Unstructured;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::fields::{Checksum, bytes, pairs};

/// Writes metadata with these names and values.
fn written(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{name} {}", BASE64_STANDARD.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Checks that accepted text means the same after it is written again.
pub fn check_any(given: &str) {
    let digits = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    match bytes(given) {
        Some(number) => {
            let plain = given.trim_start_matches('0');
            assert_eq!(number.to_string(), if plain.is_empty() { "0" } else { plain });
        }
        // Digits are refused only if the number exceeds 64 bits.
        None => assert!(!digits || given.trim_start_matches('0').len() >= 20, "{given}"),
    }
    if let Some(said) = pairs(given) {
        assert!(said.iter().all(|(name, _)| !name.is_empty() && !name.contains([' ', ','])), "{said:?}");
        assert_eq!(said.len(), given.split(',').filter(|part| !part.trim().is_empty()).count());
        assert_eq!(pairs(&written(&said)), Some(said));
    }
    if Checksum::named(given).is_some() {
        let name = given.trim().split(' ').next().map(str::to_ascii_lowercase);
        assert!(matches!(name.as_deref(), Some("sha1" | "sha256")), "{given}");
    }
}

/// Checks that a checksum fits its own bytes, in pieces of any size, and no other bytes.
fn check_sums(mut input: Unstructured) -> arbitrary::Result<()> {
    let (split, changed, bit) = (input.arbitrary::<u8>()?, input.arbitrary::<u8>()?, input.int_in_range(0..=7)?);
    let body = input.take_rest();
    let [sha1, sha256] = [Sha1::digest(body).to_vec(), Sha256::digest(body).to_vec()];
    let fits = |given: &str, body: &[u8]| {
        let mut checksum = Checksum::named(given).expect("it is written as it has to be");
        let (one, two) = body.split_at(usize::from(split) % (body.len() + 1));
        checksum.add(one);
        checksum.add(two);
        checksum.fits()
    };
    for (name, sum, other) in [("sha1", &sha1, "sha256"), ("SHA256", &sha256, "sha1")] {
        let given = format!("{name} {}", BASE64_STANDARD.encode(sum));
        assert!(fits(&given, body));
        assert!(Checksum::named(&given.replace(name, other)).is_none(), "it is of another length");
        let (mut flipped, mut another) = (body.to_vec(), sum.clone());
        if let Some(byte) = flipped.get_mut(usize::from(changed) % body.len().max(1)) {
            *byte ^= 1 << bit;
            assert!(!fits(&given, &flipped));
        }
        let at = usize::from(changed) % another.len();
        another[at] ^= 1 << bit;
        assert!(!fits(&format!("{name} {}", BASE64_STANDARD.encode(another)), body));
    }
    Ok(())
}

/// Checks the header fields of tus.
pub fn check_tus(data: &[u8]) {
    check_any(&String::from_utf8_lossy(data));
    let _ = check_sums(Unstructured::new(data));
    // Metadata is read as the client wrote it.
    let mut input = Unstructured::new(data);
    let said: Vec<(u16, String)> = input.arbitrary().unwrap_or_default();
    let said: Vec<_> = said.into_iter().map(|(name, value)| (format!("name-{name}"), value)).collect();
    assert_eq!(pairs(&written(&said)), Some(said));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{check_any, check_tus};

    /// Checks the seeds of fuzzing and inputs of earlier failures.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("tus").iter().for_each(|seed| check_tus(seed));
    }

    proptest! {
        #[test]
        fn anything(data in prop::collection::vec(any::<u8>(), 0..200)) {
            check_tus(&data);
        }

        #[test]
        fn nearly(text in r"(sha1|sha256|SHA1|filetype| |,|=|[A-Za-z0-9+/]{4}|[0-9]{1,21}){0,12}") {
            check_any(&text);
        }
    }
}
