//! From URLs to remotes: one list of schemes, which hosts put together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_engine::remote::{Connector, Remote};

use crate::file_url;
use crate::folder::{FolderOptions, FolderRemote, HelperCommand};

/// Every kind of server that a host offers, by the scheme of its URLs.
#[derive(Default)]
pub struct Connectors {
    schemes: BTreeMap<&'static str, Box<dyn Connector>>,
}

impl Connectors {
    pub fn new() -> Connectors {
        Connectors::default()
    }

    /// Adds a kind of server; `scheme` in lower case, without `://`.
    #[must_use]
    pub fn with(mut self, scheme: &'static str, connector: impl Connector + 'static) -> Connectors {
        self.schemes.insert(scheme, Box::new(connector));
        self
    }

    fn find(&self, url: &str) -> Result<&dyn Connector, String> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let found = scheme.as_deref().and_then(|s| self.schemes.get(s));
        found.map(|connector| &**connector).ok_or_else(|| {
            let known: Vec<_> = self.schemes.keys().map(|s| format!("{s}://")).collect();
            format!("the address must begin with {}", known.join(" or "))
        })
    }
}

impl Connector for Connectors {
    fn check(&self, url: &str) -> Result<(), String> {
        self.find(url)?.check(url)
    }

    fn public_url(&self, url: &str) -> String {
        match self.find(url) {
            Ok(connector) => connector.public_url(url),
            Err(_) => without_user(url),
        }
    }

    fn local_folder(&self, url: &str) -> Option<PathBuf> {
        self.find(url).ok()?.local_folder(url)
    }

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        self.find(url)?.remote(url, owner)
    }
}

/// A URL of no known kind without what may be a secret.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// `file://`: see [`crate::folder`].
pub struct FileConnector {
    command: HelperCommand,
    options: FolderOptions,
}

impl FileConnector {
    pub fn new(command: HelperCommand, options: FolderOptions) -> FileConnector {
        FileConnector { command, options }
    }

    /// As [`Connector::remote`], with its own type.
    pub fn folder(&self, url: &str, owner: &str) -> Result<FolderRemote, String> {
        FolderRemote::new(&file_url::parse(url)?, owner, self.command.clone(), self.options.clone())
    }
}

impl Connector for FileConnector {
    fn check(&self, url: &str) -> Result<(), String> {
        file_url::parse(url).map(drop)
    }

    fn public_url(&self, url: &str) -> String {
        url.to_owned()
    }

    fn local_folder(&self, url: &str) -> Option<PathBuf> {
        file_url::parse(url).ok()
    }

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        Ok(Arc::new(self.folder(url, owner)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connectors() -> Connectors {
        let command = HelperCommand { program: "/bin/false".into(), args: vec![] };
        Connectors::new().with("file", FileConnector::new(command, FolderOptions::new("/nowhere")))
    }

    #[test]
    fn finds_the_kind_by_the_scheme() {
        let all = connectors();
        assert_eq!(all.check("file:///a"), Ok(()));
        assert_eq!(all.check("File:///a"), Ok(()));
        assert_eq!(all.check("ftp://a/b"), Err("the address must begin with file://".into()));
        assert!(all.remote("file:///a", "me").is_ok());
        assert!(all.remote("file:///a", "m/e").is_err());
    }

    #[test]
    fn secrets_of_unknown_kinds_are_not_shown() {
        assert_eq!(connectors().public_url("ftp://me:pw@host/a@b"), "ftp://host/a@b");
        assert_eq!(connectors().public_url("file:///a@b"), "file:///a@b");
    }
}
