//! Keys that components are signed with: Ed25519.
//!
//! A private key is a PEM file of PKCS#8 (RFC 8410), as `comux plugin keygen` and
//! `openssl genpkey -algorithm ed25519` write it. A public key is the text `ed25519:` and the key's
//! 32 bytes in base64.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, de};

/// How the text of a public key begins.
const KIND: &str = "ed25519:";

/// Bytes that a file with a private key may have; it has 119.
const MOST_KEY_BYTES: u64 = 16 * 1024;

/// Who may have signed a component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// What a component is signed with.
pub struct PrivateKey(SigningKey);

/// A text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no public key: {reason}; a key is `{KIND}` and 44 characters of base64, as \
     `comux plugin keygen` and `comux plugin verify` print it"
)]
pub struct NoPublicKey {
    /// The text, cut when it is long.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A private key can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("the private key `{path}` can't be read: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The file is something else.
    #[error(
        "`{path}` has no Ed25519 private key in PEM (PKCS#8); make one with `comux plugin keygen` or \
         `openssl genpkey -algorithm ed25519`"
    )]
    NotAKey {
        /// The file.
        path: String,
    },
    /// The file can't be written.
    #[error("the private key `{path}` can't be written: {cause}; name another file with --out")]
    Unwritable {
        /// The file.
        path: String,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("no random numbers for a key: {0}")]
    Random(getrandom::Error),
}

impl PublicKey {
    /// Bytes of a key.
    pub(crate) const BYTES: usize = 32;

    /// Absent when the bytes are no key, or one for which anybody can make signatures.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// Whether the holder of this key signed `message`.
    pub(crate) fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8; Signature::BYTE_SIZE],
    ) -> bool {
        // Strict: of each message and key, one signature alone counts.
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from a PEM file.
    ///
    /// # Errors
    /// When the file can't be read or holds something else.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let path = file.display().to_string();
        let length = std::fs::metadata(file).map(|metadata| metadata.len());
        if length.is_ok_and(|length| length > MOST_KEY_BYTES) {
            return Err(KeyError::NotAKey { path });
        }
        match std::fs::read_to_string(file) {
            Ok(pem) => match SigningKey::from_pkcs8_pem(&pem) {
                Ok(key) => Ok(Self(key)),
                Err(_) => Err(KeyError::NotAKey { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(KeyError::NotAKey { path })
            }
            Err(cause) => Err(KeyError::Unreadable { path, cause }),
        }
    }

    /// Writes the key to a new file that its owner alone can read. A file that is there stays: with
    /// it the signatures made by that key would lose their author.
    ///
    /// # Errors
    /// When the file can't be written, or is there.
    pub fn write_new(&self, file: &Path) -> Result<(), KeyError> {
        let path = file.display().to_string();
        // Without the public key, which OpenSSL 1.1 does not expect there.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let Ok(pem) = pair.to_pkcs8_pem(LineEnding::LF) else {
            return Err(KeyError::NotAKey { path });
        };
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(file);
        let written = opened.and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|cause| KeyError::Unwritable { path, cause })
    }

    /// The key that shows who signed.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; Signature::BYTE_SIZE] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", STANDARD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private key of {}", self.public())
    }
}

impl FromStr for PublicKey {
    type Err = NoPublicKey;

    fn from_str(text: &str) -> Result<Self, NoPublicKey> {
        let refuse = |reason| NoPublicKey { text: text.chars().take(80).collect(), reason };
        let encoded = text.strip_prefix(KIND);
        let encoded = encoded.ok_or_else(|| refuse("it does not begin with `ed25519:`"))?;
        let bytes = STANDARD.decode(encoded).map_err(|_| refuse("it is not base64"))?;
        let bytes = bytes.try_into().map_err(|_| refuse("it has not 32 bytes"))?;
        Self::from_bytes(&bytes).ok_or_else(|| refuse("no private key belongs to it"))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// RFC 8410, section 10.3: the private key, and section 10.1: its public key.
    const RFC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const RFC_PUBLIC: &str = "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn a_private_key_is_read_as_openssl_writes_it_and_written_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (given, written) = (directory.path().join("a.pem"), directory.path().join("b.pem"));
        std::fs::write(&given, RFC_PRIVATE).unwrap();
        let key = PrivateKey::read(&given).unwrap();
        assert_eq!(key.public().to_string(), RFC_PUBLIC);
        key.write_new(&written).unwrap();
        assert_eq!(std::fs::read_to_string(&written).unwrap(), RFC_PRIVATE);
        let mode = std::fs::metadata(&written).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(key.write_new(&written).is_err(), "a key is never written over");
        assert!(!format!("{key:?}").contains("1O5y2"), "no log shows it");
    }

    #[test]
    fn what_holds_no_private_key_is_refused_with_how_to_make_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pem");
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
        for content in [&b""[..], b"text", b"\xff\xfe", public.as_bytes(), &[b'x'; 100_000]] {
            std::fs::write(&file, content).unwrap();
            let refusal = PrivateKey::read(&file).unwrap_err().to_string();
            assert!(refusal.contains("comux plugin keygen"), "{refusal}");
        }
        assert!(matches!(
            PrivateKey::read(&directory.path().join("none")),
            Err(KeyError::Unreadable { .. })
        ));
    }

    #[test]
    fn keys_differ_and_sign_what_they_sign() {
        let [one, other] = [(); 2].map(|()| PrivateKey::generate().unwrap());
        assert_ne!(one.public(), other.public());
        let signature = one.sign(b"message");
        assert!(one.public().has_signed(b"message", &signature));
        assert!(!one.public().has_signed(b"massage", &signature));
        assert!(!other.public().has_signed(b"message", &signature));
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written_and_nothing_else_is_one() {
        assert_eq!(RFC_PUBLIC.parse::<PublicKey>().unwrap().to_string(), RFC_PUBLIC);
        let weak = format!("{KIND}{}", STANDARD.encode([0; 32]));
        let short = format!("{KIND}{}", STANDARD.encode([1; 31]));
        let bare = RFC_PUBLIC.trim_start_matches(KIND);
        for text in ["", "ed25519:", "rsa:AAAA", "ed25519:%", bare, &short, &weak] {
            let refusal = text.parse::<PublicKey>().unwrap_err().to_string();
            assert!(refusal.contains("44 characters of base64"), "{refusal}");
        }
    }
}
