//! What an operator allows a tenant's plugins: whose signature they need, and what they may reach.

use super::load_error::LoadProblem;
use super::signature::{is_signed_by, signatures};
use crate::policy::{Grant, PublicKey};

/// What the plugins of a tenant have to bring, and what they may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Who may have signed a plugin. Empty: it needs no signature.
    pub trusted_keys: Vec<PublicKey>,
    /// What it may import.
    pub grants: Vec<Grant>,
}

impl Default for Trust {
    /// Anybody's plugins, which may write to the log and count: both are bounded, and neither tells
    /// a plugin anything.
    fn default() -> Self {
        Self { trusted_keys: Vec::new(), grants: Grant::ALL.to_vec() }
    }
}

impl Trust {
    /// Refuses a component without a signature that counts. It is a file of any content still.
    pub(crate) fn check_signature(
        &self,
        tenant: &str,
        component: &[u8],
    ) -> Result<(), LoadProblem> {
        let keys = &self.trusted_keys;
        if keys.is_empty() || is_signed_by(component, keys) {
            return Ok(());
        }
        let found = signatures(component);
        let valid = found.iter().filter(|signature| signature.is_valid);
        let signers: Vec<String> =
            valid.filter_map(|signature| Some(signature.key?.to_string())).collect();
        let what = match (found.is_empty(), signers.is_empty()) {
            (true, _) => "is not signed".to_owned(),
            (false, true) => "was changed after it was signed".to_owned(),
            (false, false) => format!("is signed by {}", signers.join(", ")),
        };
        Err(LoadProblem::NotTrusted { tenant: tenant.to_owned(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::supply::signature::sign;
    use crate::policy::PrivateKey;

    #[test]
    fn without_trusted_keys_anything_goes_and_with_them_only_what_they_signed() {
        let [own, other] = [(); 2].map(|()| PrivateKey::generate().unwrap());
        let trust = Trust { trusted_keys: vec![own.public()], ..Trust::default() };
        let component = b"a component".to_vec();
        assert!(Trust::default().check_signature("acme", &component).is_ok());
        assert!(trust.check_signature("acme", &sign(component.clone(), &own)).is_ok());
        let mut changed = sign(component.clone(), &own);
        changed[0] ^= 1;
        let by_other = format!("signed by {}", other.public());
        for (component, words) in [
            (component.clone(), "is not signed"),
            (changed, "changed after it was signed"),
            (sign(component, &other), &by_other),
        ] {
            let refusal = trust.check_signature("acme", &component).unwrap_err().to_string();
            for words in [words, "`acme`", "trusted_keys", "comux plugin sign"] {
                assert!(refusal.contains(words), "{refusal}");
            }
        }
    }
}
