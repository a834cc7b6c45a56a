//! `[security]`, `[tenants.security]` and the tenants' own plugin stores: what is demanded of whose
//! plugins, and where they lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::values::Id;
use crate::plugin::TenantPlugins;
use crate::plugin::supply::Trust;
use crate::policy::Grant;
use crate::policy::PublicKey;

/// `[security]`, or `[tenants.security]`, of which each key replaces the one in `[security]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityTable {
    /// Who may have signed a plugin; empty: it needs no signature.
    trusted_keys: Option<Vec<PublicKey>>,
    /// What a plugin may import beside what every plugin gets.
    grants: Option<Vec<Grant>>,
}

impl SecurityTable {
    /// What it says, and what `base` says where it says nothing.
    pub(crate) fn over(self, base: &Trust) -> Trust {
        Trust {
            trusted_keys: self.trusted_keys.unwrap_or_else(|| base.trusted_keys.clone()),
            grants: self.grants.unwrap_or_else(|| base.grants.clone()),
        }
    }
}

/// What is demanded of plugins, and where tenants have their own.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// What is demanded of plugins of tenants that say nothing else.
    pub trust: Trust,
    /// What is particular to tenants. The sources that the file names are not in here.
    pub tenants: HashMap<Id, TenantPlugins>,
}

impl Security {
    /// Puts `[security]` and what stands in `[[tenants]]` together: each tenant's id, its own
    /// store, and what it says of security. `common` is the store of all.
    ///
    /// # Errors
    /// When a tenant could reach another's plugins, or what all share would lie in its own store.
    pub(crate) fn new(
        everyone: SecurityTable,
        tenants: impl IntoIterator<Item = (Id, Option<PathBuf>, SecurityTable)>,
        common: &Path,
    ) -> Result<Self, String> {
        let mut security = Self { trust: everyone.over(&Trust::default()), ..Self::default() };
        for (id, plugin_dir, table) in tenants {
            if let Some(own) = &plugin_dir {
                security.check_store(&id, own, common)?;
            }
            let trust = table.over(&security.trust);
            let plugins = TenantPlugins { plugin_dir, trust, ..TenantPlugins::default() };
            security.tenants.insert(id, plugins);
        }
        Ok(security)
    }

    /// Whoever may name files in one directory may name those in the directories in it.
    fn check_store(&self, id: &Id, own: &Path, common: &Path) -> Result<(), String> {
        let others = self.tenants.iter().filter_map(|(other, plugins)| {
            Some((format!("that of tenant `{other}`"), plugins.plugin_dir.as_deref()?))
        });
        let common = ("the `plugin_dir` of [runtime], which all tenants share".to_owned(), common);
        for (whose, other) in others.chain([common]) {
            let (own, other) = (resolved(own), resolved(other));
            if own.starts_with(&other) || other.starts_with(&own) {
                return Err(format!(
                    "[[tenants]] `{id}`: its `plugin_dir` and {whose}, lie in one another, so that a \
                     tenant could name another's plugins; put them side by side"
                ));
            }
        }
        Ok(())
    }
}

/// A path with links followed as far as it exists, and without `.` and `..`.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in absolute.components() {
        match part {
            std::path::Component::ParentDir => {
                resolved.pop();
            }
            part => {
                resolved.push(part);
                // What is not there has no links to follow.
                resolved = resolved.canonicalize().unwrap_or(resolved);
            }
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const KEYS: [&str; 2] = [
        "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
        "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ];

    fn parse_in(directory: &Path, text: &str) -> Result<Config, String> {
        let text = format!("[kafka]\nbootstrap_servers = 'localhost:9092'\n{text}");
        Config::parse(&text, Path::new("comux.toml"), directory).map_err(|error| error.to_string())
    }

    fn parse(text: &str) -> Result<Config, String> {
        parse_in(Path::new("/srv/comux"), text)
    }

    fn trust(text: &str, tenant: &str) -> (Vec<String>, Vec<Grant>) {
        let config = parse(text).expect("valid");
        let settings = config.loader();
        let own = settings.tenants.get(tenant).map(|plugins| &plugins.trust);
        let trust = own.unwrap_or(&settings.trust);
        (trust.trusted_keys.iter().map(ToString::to_string).collect(), trust.grants.clone())
    }

    #[test]
    fn what_a_tenant_says_replaces_key_by_key_what_is_said_for_all() {
        let [one, other] = KEYS;
        let text = format!(
            "[security]\ntrusted_keys = ['{one}']\n[[tenants]]\nid = 'a'\n\
             [tenants.security]\ntrusted_keys = ['{other}']\n[[tenants]]\nid = 'b'\n\
             [tenants.security]\ngrants = []\n[[tenants]]\nid = 'c'\n\
             [tenants.security]\ntrusted_keys = []\ngrants = ['log']\n[[tenants]]\nid = 'd'"
        );
        let all = Grant::ALL.to_vec();
        assert_eq!(trust(&text, "a"), (vec![other.to_owned()], all.clone()));
        assert_eq!(trust(&text, "b"), (vec![one.to_owned()], Vec::new()));
        assert_eq!(trust(&text, "c"), (Vec::new(), vec![Grant::Log]));
        for tenant in ["d", "default"] {
            assert_eq!(trust(&text, tenant), (vec![one.to_owned()], all.clone()));
        }
        assert_eq!(trust("", "default"), (Vec::new(), all));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, words) in [
            (
                "[security]\ntrusted_keys = ['ed25519:AAAA']",
                &["line 4", "trusted_keys", "AAAA"][..],
            ),
            ("[security]\ntrusted_keys = ['x']", &["line 4", "`x`", "comux plugin keygen"]),
            ("[security]\ngrants = ['logs']", &["line 4", "logs", "metrics"]),
            ("[security]\ngrant = []", &["line 4", "grant"]),
            ("[[tenants]]\nid = 'a'\n[tenants.security]\ntrusted = []", &["line 6", "trusted"]),
        ] {
            let error = parse(text).expect_err(text);
            for word in words {
                assert!(error.contains(word), "{text}\nshould say {word:?}:\n{error}");
            }
        }
    }

    #[test]
    fn no_store_lies_in_another() {
        let tenants = |a: &str, b: &str| {
            parse(&format!(
                "[[tenants]]\nid = 'a'\nplugin_dir = '{a}'\n[[tenants]]\nid = 'b'\nplugin_dir = '{b}'"
            ))
        };
        let config = tenants("a-plugins", "b-plugins").unwrap();
        let own = config.loader().tenants["a"].plugin_dir.clone();
        assert_eq!(own, Some("/srv/comux/a-plugins".into()));
        for (a, b, words) in [
            ("plugins", "b", "`a`"),
            ("plugins/a", "b", "all tenants share"),
            ("a", ".", "`b`"),
            ("a", "a", "tenant `a`"),
            ("a", "a/b", "tenant `a`"),
            ("a/b", "a", "tenant `a`"),
            ("a", "x/../a", "tenant `a`"),
            ("a", "/srv/comux/a", "tenant `a`"),
        ] {
            let refusal = tenants(a, b).unwrap_err();
            assert!(refusal.contains(words) && refusal.contains("side by side"), "{refusal}");
        }
    }

    #[test]
    fn a_link_hides_no_store_in_another() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("plugins/a")).unwrap();
        std::os::unix::fs::symlink("plugins/a", directory.path().join("link")).unwrap();
        let text = "[[tenants]]\nid = 'a'\nplugin_dir = 'link'";
        assert!(parse_in(directory.path(), text).unwrap_err().contains("side by side"));
    }

    #[test]
    fn a_source_that_the_file_names_counts_for_its_cameras_tenant_alone() {
        let config = parse(
            "[[tenants]]\nid = 'a'\n[[cameras]]\nid = 'x'\ntenant = 'a'\n\
             plugins = [{ source = '../x.wasm' }]\n[[cameras]]\nid = 'y'\n\
             plugins = [{ source = '../y.wasm' }]",
        );
        let tenants = config.unwrap().loader().tenants;
        let named = |tenant: &str| -> Vec<String> {
            tenants[tenant].named_sources.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            (named("a"), named("default")),
            (vec!["../x.wasm".into()], vec!["../y.wasm".into()])
        );
    }
}
