//! The secrets of a workload, and what must be true of them after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flow_history::{Error, History, MemoryStorage, SecretRef, VaultKey};
use flow_history_replay::FileName;

use crate::disk::Files;
use crate::oracle::Said;
use crate::workload::Truth;

/// Every secret that was named, and what became of it.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The reference and the plain secret, by id.
    plain: BTreeMap<[u8; 16], (SecretRef, String)>,
    /// In the order in which they were named: their ids are other ones each time.
    in_order: Vec<SecretRef>,
    /// The mark by which it was shredded.
    shredded: BTreeMap<[u8; 16], u64>,
}

/// The key of every workload.
#[must_use]
pub fn vault_key() -> Arc<VaultKey> {
    Arc::new(VaultKey::new("key-1", [7; 32]))
}

impl Secrets {
    /// Notes a secret that an entry names.
    pub fn note(&mut self, secret: &SecretRef, plain: &str) {
        self.plain.insert(secret.id, (secret.clone(), plain.to_owned()));
        self.in_order.push(secret.clone());
    }

    /// Notes the mark by which a secret was shredded.
    pub fn note_shredded(&mut self, secret: &SecretRef, mark: u64) {
        self.shredded.insert(secret.id, mark);
    }

    /// Those that were not shredded.
    #[must_use]
    pub fn whole(&self) -> Vec<SecretRef> {
        self.in_order.iter().filter(|secret| !self.shredded.contains_key(&secret.id)).cloned().collect()
    }

    fn is_shredded(&self, id: &[u8; 16], upto: u64) -> bool {
        self.shredded.get(id).is_some_and(|mark| *mark <= upto)
    }
}

/// The secrets of which there are files.
fn with_files(files: &Files) -> BTreeSet<[u8; 16]> {
    let id = |name: &String| match FileName::parse(name) {
        Some(FileName::Secret(id) | FileName::NewSecret(id)) => Some(id),
        _ => None,
    };
    files.keys().filter_map(id).collect()
}

/// Of what a crash left: whose shredding was acknowledged is not on the disk.
///
/// # Errors
/// What is not true.
pub(crate) fn check_shredded(files: &Files, said: Said, truth: &Truth) -> Result<(), String> {
    let there = with_files(files);
    match there.iter().find(|id| truth.secrets.is_shredded(id, said.acknowledged)) {
        Some(id) => Err(format!("the file of {id:?} is there, and its shredding was acknowledged")),
        None => Ok(()),
    }
}

/// Of a history that was opened to write after a crash: a secret that it names can be read, or was shredded and cannot; no
/// other has a file. What a prune did not get to remove may have one.
///
/// # Errors
/// What is not true.
pub(crate) fn check_secrets(
    history: &History,
    storage: &MemoryStorage,
    (oldest, recovered): (u64, u64),
    said: Said,
    truth: &Truth,
) -> Result<(), String> {
    let mut named = BTreeMap::new();
    for seq in oldest..=recovered {
        for (_, component) in truth.flows[usize::try_from(seq).unwrap()].iter() {
            component.visit_secrets(&mut |secret| {
                named.insert(secret.id, secret.clone());
            });
        }
    }
    let mut there = with_files(&storage.files());
    for (id, secret) in &named {
        let plain = truth.secrets.plain.get(id).map(|(_, plain)| plain.as_bytes());
        let is_gone = truth.secrets.is_shredded(id, recovered);
        match history.secret(secret) {
            Ok(value) if !is_gone && Some(value.expose()) == plain => {}
            Err(Error::SecretGone { .. }) if is_gone => {}
            other => return Err(format!("the secret {id:?}, shredded {is_gone}, gives {other:?}")),
        }
        if there.remove(id) == is_gone {
            return Err(format!("the secret {id:?} has a file, or has none: shredded {is_gone}"));
        }
    }
    let is_left = |id: &[u8; 16]| said.pruning > 0 && !truth.secrets.is_shredded(id, recovered);
    match there.iter().find(|id| !is_left(id)) {
        Some(id) => Err(format!("nothing names {id:?}, and its file is there")),
        None => Ok(()),
    }
}
