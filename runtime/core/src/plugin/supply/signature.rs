//! Signatures of components: how they lie in the file, how they are made and looked at.
//!
//! A signature is a custom section at the very end of a component, which every WebAssembly tool
//! passes over. Its layout is fixed, so that it is found from the end of the file, before a single
//! byte of the component is interpreted:
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | `00`: a custom section |
//! | 1 | `71`: 113 bytes follow |
//! | 1 | `0f`: its name has 15 bytes |
//! | 15 | `comux-signature` |
//! | 1 | `01`: the version of this layout |
//! | 32 | the signer's Ed25519 public key |
//! | 64 | the signature (RFC 8032) |
//!
//! Signed are the 26 bytes `comux component signature\n` and the 32 bytes of the SHA-256 of **all**
//! bytes of the file in front of the section. The words keep a signature that was made for another
//! purpose from counting here. Several signatures follow one another; each covers those before it.
//!
//! A component is somebody's if any of its signatures is valid and by that key. So whoever appends
//! another section of this kind changes the component's digest, but neither what it does nor who
//! answers for it; whoever changes anything else voids all signatures.

use crate::policy::Digest;
use crate::policy::{PrivateKey, PublicKey};

/// How a signature begins: custom section, its length, the length of its name, its name, version.
const START: &[u8; 19] = b"\0\x71\x0fcomux-signature\x01";
const SIGNATURE_BYTES: usize = 64;
const SECTION_BYTES: usize = START.len() + PublicKey::BYTES + SIGNATURE_BYTES;

/// What is signed begins so.
const PURPOSE: &[u8] = b"comux component signature\n";

/// Signatures that are looked at: everyone who takes part in a release may sign, and nobody can
/// make a host check thousands.
const MOST_SIGNATURES: usize = 16;

/// A signature on a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentSignature {
    /// Whose it claims to be; absent when that is no key.
    pub key: Option<PublicKey>,
    /// Whether it is: made by the holder of that key, for exactly this component.
    pub is_valid: bool,
}

/// The signatures at the end of a component, the last one first; the last 16 count.
#[must_use]
pub fn signatures(component: &[u8]) -> Vec<ComponentSignature> {
    let mut found = Vec::new();
    let mut rest = component;
    while found.len() < MOST_SIGNATURES
        && let Some((signed, key, signature)) = split(rest)
    {
        let key = PublicKey::from_bytes(key);
        let is_valid = key.is_some_and(|key| key.has_signed(&message(signed), signature));
        found.push(ComponentSignature { key, is_valid });
        rest = signed;
    }
    found
}

/// Whether one of `keys` signed a component.
pub(crate) fn is_signed_by(component: &[u8], keys: &[PublicKey]) -> bool {
    let is_trusted = |signature: &ComponentSignature| {
        signature.is_valid && signature.key.is_some_and(|key| keys.contains(&key))
    };
    signatures(component).iter().any(is_trusted)
}

/// The component with one more signature.
#[must_use]
pub fn sign(mut component: Vec<u8>, key: &PrivateKey) -> Vec<u8> {
    let signature = key.sign(&message(&component));
    component.extend_from_slice(START);
    component.extend_from_slice(key.public().as_bytes());
    component.extend_from_slice(&signature);
    component
}

type Parts<'a> = (&'a [u8], &'a [u8; PublicKey::BYTES], &'a [u8; SIGNATURE_BYTES]);

/// What is in front of the last signature, and the signature.
fn split(component: &[u8]) -> Option<Parts<'_>> {
    let (signed, section) = component.split_last_chunk::<SECTION_BYTES>()?;
    let (key, signature) = section.strip_prefix(START)?.split_first_chunk()?;
    Some((signed, key, signature.try_into().ok()?))
}

fn message(signed: &[u8]) -> Vec<u8> {
    [PURPOSE, Digest::of(signed).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::test_plugin::component;

    fn keys() -> [PrivateKey; 2] {
        [(); 2].map(|()| PrivateKey::generate().unwrap())
    }

    #[test]
    fn a_signed_component_names_its_signers_and_stays_a_component() {
        let [one, other] = keys();
        let plain = component("motion", "1.0.0");
        assert_eq!(signatures(&plain), []);
        let signed = sign(sign(plain.clone(), &one), &other);
        assert_eq!(signed.len(), plain.len() + 2 * SECTION_BYTES);
        let by = |key: &PrivateKey| ComponentSignature { key: Some(key.public()), is_valid: true };
        assert_eq!(signatures(&signed), [by(&other), by(&one)]);
        assert!(is_signed_by(&signed, &[one.public()]) && is_signed_by(&signed, &[other.public()]));
        assert!(!is_signed_by(&signed, &[PrivateKey::generate().unwrap().public()]));
        assert!(!is_signed_by(&signed, &[]) && !is_signed_by(&plain, &[one.public()]));
        let mut sections = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(&signed) {
            if let wasmparser::Payload::CustomSection(section) = payload.unwrap() {
                sections.push(section.name().to_owned());
            }
        }
        assert_eq!(&sections[sections.len() - 2..], ["comux-signature", "comux-signature"]);
    }

    #[test]
    fn whatever_is_changed_voids_the_signature() {
        let [key, _] = keys();
        let signed = sign(component("motion", "1.0.0"), &key);
        for at in (0..signed.len()).step_by(7).chain(signed.len() - SECTION_BYTES..signed.len()) {
            let mut changed = signed.clone();
            changed[at] ^= 0x20;
            assert!(!is_signed_by(&changed, &[key.public()]), "byte {at}");
        }
        for end in [0, 8, SECTION_BYTES, signed.len() - SECTION_BYTES, signed.len() - 1] {
            assert!(!is_signed_by(&signed[..end], &[key.public()]), "cut at {end}");
        }
        let longer = [&signed[..], b"x"].concat();
        assert!(!is_signed_by(&longer, &[key.public()]));
    }

    #[test]
    fn a_signature_of_another_component_or_for_another_purpose_is_void() {
        let [key, _] = keys();
        let (one, other) = (component("motion", "1.0.0"), component("motion", "2.0.0"));
        let signed = sign(one, &key);
        let moved = [&other[..], &signed[signed.len() - SECTION_BYTES..]].concat();
        assert_eq!(
            signatures(&moved),
            [ComponentSignature { key: Some(key.public()), is_valid: false }]
        );
        let bare = key.sign(Digest::of(&other).as_bytes());
        let forged = [&other[..], START, key.public().as_bytes(), &bare].concat();
        assert!(!is_signed_by(&forged, &[key.public()]));
    }

    #[test]
    fn what_follows_a_trusted_signature_can_only_be_further_signatures() {
        let [trusted, other] = keys();
        let signed = sign(sign(component("motion", "1.0.0"), &trusted), &other);
        assert!(is_signed_by(&signed, &[trusted.public()]));
        let without_last = &signed[..signed.len() - SECTION_BYTES];
        assert!(is_signed_by(without_last, &[trusted.public()]));
        // Another's signature voided: the trusted one below it still holds.
        let mut voided = signed.clone();
        *voided.last_mut().unwrap() ^= 1;
        assert!(is_signed_by(&voided, &[trusted.public()]));
        assert!(!is_signed_by(&voided, &[other.public()]));
    }

    #[test]
    fn no_more_signatures_are_looked_at_than_anyone_needs() {
        let [key, other] = keys();
        let mut signed = sign(component("motion", "1.0.0"), &key);
        for _ in 0..MOST_SIGNATURES {
            signed = sign(signed, &other);
        }
        assert_eq!(signatures(&signed).len(), MOST_SIGNATURES);
        assert!(!is_signed_by(&signed, &[key.public()]));
    }
}
