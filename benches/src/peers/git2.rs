//! Git by libgit2: a blob for each component, 256 trees of them by hash, a change is a commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, Signature, Sort, Time, Tree};

use super::{Failure, Kind, Outcome, Peer, Store, broken};
use crate::plain::{Change, PlainChange, PlainComponent, PlainFlow, PlainOperation};

const BRANCH: &str = "refs/heads/main";
const FILE: i32 = 0o100_644;
const FOLDER: i32 = 0o040_000;
const AUTHORS: [&str; 5] = ["alice", "bob", "carol", "dan", "eve"];

/// Git.
pub(super) struct Git2;

impl Peer for Git2 {
    fn name(&self) -> &'static str {
        "git2"
    }

    fn about(&self) -> String {
        let (major, minor, patch) = git2::Version::get().libgit2_version();
        format!(
            "libgit2 {major}.{minor}.{patch}; a blob a component in 256 trees by hash; core.fsyncObjectFiles where durable, \
             nothing synced where buffered; loose while written, packed and the loose ones removed when closed"
        )
    }

    fn gives(&self) -> &'static str {
        "branches, merges, signatures, remotes, and every tool there is"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "component_log" => Some("walks back from the head, comparing the entry of the component"),
            "undo" => Some("a commit of the tree before"),
            _ => None,
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        // Every object that a commit names was just written by it.
        git2::opts::strict_object_creation(false);
        let repository = match path.join("HEAD").exists() {
            true => Repository::open_bare(path),
            false => Repository::init_bare(path),
        };
        let repository = repository.map_err(broken)?;
        let mut config = repository.config().map_err(broken)?;
        config.set_bool("core.fsyncObjectFiles", kind == Kind::Durable).map_err(broken)?;
        // Read when the stores of objects and names are made, which is when it is opened.
        let repository = Repository::open_bare(path).map_err(broken)?;
        let head = repository.refname_to_id(BRANCH).ok();
        Ok(Box::new(GitStore { repository, path: path.to_owned(), head, commits: None }))
    }
}

struct GitStore {
    repository: Repository,
    path: PathBuf,
    head: Option<Oid>,
    /// The commit of each version, walked once it is asked for.
    commits: Option<Vec<Oid>>,
}

fn folder_of(id: &str) -> String {
    let hash = blake3::hash(id.as_bytes());
    format!("{:02x}", hash.as_bytes().first().copied().unwrap_or_default())
}

impl GitStore {
    fn walk(&self, sort: Sort) -> Outcome<git2::Revwalk<'_>> {
        let mut walk = self.repository.revwalk().map_err(broken)?;
        walk.set_sorting(sort).map_err(broken)?;
        if let Some(head) = self.head {
            walk.push(head).map_err(broken)?;
        }
        Ok(walk)
    }

    fn commit_of(&mut self, version: u64) -> Outcome<Oid> {
        if self.commits.is_none() {
            let walk = self.walk(Sort::TOPOLOGICAL | Sort::REVERSE)?;
            self.commits = Some(walk.collect::<Result<_, _>>().map_err(broken)?);
        }
        let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let commit = self.commits.as_ref().zip(at).and_then(|(commits, at)| commits.get(at));
        commit.copied().ok_or_else(|| Failure::Broke(format!("there is no version {version}")))
    }

    fn tree_of(&mut self, version: u64) -> Outcome<Tree<'_>> {
        let commit = self.commit_of(version)?;
        self.repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(broken)
    }

    fn component_in(&self, tree: &Tree<'_>, id: &str) -> Outcome<Option<PlainComponent>> {
        let Some(folder) = tree.get_name(&folder_of(id)) else { return Ok(None) };
        let folder = self.repository.find_tree(folder.id()).map_err(broken)?;
        let Some(entry) = folder.get_name(id) else { return Ok(None) };
        let blob = self.repository.find_blob(entry.id()).map_err(broken)?;
        PlainComponent::decode(&mut blob.content()).map(Some)
    }

    fn flow_in(&self, tree: &Tree<'_>) -> Outcome<PlainFlow> {
        let mut flow = PlainFlow::new();
        for folder in tree {
            let folder = self.repository.find_tree(folder.id()).map_err(broken)?;
            for entry in &folder {
                let blob = self.repository.find_blob(entry.id()).map_err(broken)?;
                let id = entry.name().map_err(broken)?.to_owned();
                flow.insert(id, PlainComponent::decode(&mut blob.content())?);
            }
        }
        Ok(flow)
    }

    fn commit(&mut self, author: u8, millis: i64, tree: Oid) -> Outcome<()> {
        let name = AUTHORS.get(usize::from(author)).copied().unwrap_or("alice");
        let time = Time::new(millis.div_euclid(1_000), 0);
        let signature = Signature::new(name, "flow@example.org", &time).map_err(broken)?;
        let tree = self.repository.find_tree(tree).map_err(broken)?;
        let parent = self.head.map(|head| self.repository.find_commit(head)).transpose().map_err(broken)?;
        let parents: Vec<_> = parent.iter().collect();
        let commit = self.repository.commit(Some(BRANCH), &signature, &signature, "", &tree, &parents);
        let commit = commit.map_err(broken)?;
        self.head = Some(commit);
        if let Some(commits) = &mut self.commits {
            commits.push(commit);
        }
        Ok(())
    }

    fn append_plain(&mut self, change: &PlainChange) -> Outcome<()> {
        let repository = &self.repository;
        let before = match self.head {
            Some(head) => {
                Some(repository.find_commit(head).and_then(|commit| commit.tree()).map_err(broken)?)
            }
            None => None,
        };
        // What becomes of each component that the change touches: `None` where it goes.
        let mut after: BTreeMap<&str, Option<PlainComponent>> = BTreeMap::new();
        for operation in &change.operations {
            match operation {
                PlainOperation::Add(id, component) => {
                    after.insert(id, Some(component.clone()));
                }
                PlainOperation::Remove(id) => {
                    after.insert(id, None);
                }
                PlainOperation::Set(id, field, value) => {
                    let mut component = match (after.remove(id.as_str()), &before) {
                        (Some(component), _) => component,
                        (None, Some(tree)) => self.component_in(tree, id)?,
                        (None, None) => None,
                    };
                    if let Some(component) = &mut component {
                        component.put(field, value.clone());
                    }
                    after.insert(id, component);
                }
            }
        }
        let mut folders: BTreeMap<String, Vec<(&str, Option<PlainComponent>)>> = BTreeMap::new();
        for (id, component) in after {
            folders.entry(folder_of(id)).or_default().push((id, component));
        }
        let mut root = repository.treebuilder(before.as_ref()).map_err(broken)?;
        for (name, changed) in folders {
            let folder = before.as_ref().and_then(|tree| tree.get_name(&name));
            let folder = folder.map(|entry| repository.find_tree(entry.id())).transpose().map_err(broken)?;
            let mut builder = repository.treebuilder(folder.as_ref()).map_err(broken)?;
            for (id, component) in changed {
                match component {
                    None => builder.remove(id).map_err(broken)?,
                    Some(component) => {
                        let mut bytes = Vec::new();
                        component.encode(&mut bytes);
                        let blob = repository.blob(&bytes).map_err(broken)?;
                        builder.insert(id, blob, FILE).map_err(broken)?;
                    }
                }
            }
            let folder = builder.write().map_err(broken)?;
            root.insert(name, folder, FOLDER).map_err(broken)?;
        }
        let tree = root.write().map_err(broken)?;
        drop((root, before));
        self.commit(change.author, change.millis, tree)
    }
}

impl Store for GitStore {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.walk(Sort::NONE)?.count() as u64)
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        self.append_plain(&change.plain)
    }

    fn component(&mut self, version: u64, id: &str) -> Outcome<bool> {
        let commit = self.commit_of(version)?;
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(broken)?;
        Ok(std::hint::black_box(self.component_in(&tree, id)?).is_some())
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        self.contents(version).map(|flow| std::hint::black_box(flow).len())
    }

    fn difference(&mut self, before: u64, after: u64) -> Outcome<usize> {
        let before = self.tree_of(before)?.id();
        let after = self.tree_of(after)?.id();
        let before = self.repository.find_tree(before).map_err(broken)?;
        let after = self.repository.find_tree(after).map_err(broken)?;
        let difference = self.repository.diff_tree_to_tree(Some(&before), Some(&after), None);
        Ok(difference.map_err(broken)?.deltas().len())
    }

    fn undo(&mut self) -> Outcome<()> {
        let head = self.head.ok_or_else(|| Failure::Broke("there is nothing to undo".to_owned()))?;
        let head = self.repository.find_commit(head).map_err(broken)?;
        let before = head.parent(0).and_then(|parent| parent.tree()).map_err(broken)?.id();
        let millis = head.time().seconds() * 1_000 + 1_000;
        drop(head);
        self.commit(0, millis, before)
    }

    fn component_log(&mut self, id: &str, limit: usize) -> Outcome<usize> {
        let path = PathBuf::from(folder_of(id)).join(id);
        let entry_of = |oid: Oid| -> Outcome<(Option<Oid>, Option<Oid>)> {
            let commit = self.repository.find_commit(oid).map_err(broken)?;
            let entry = commit.tree().map_err(broken)?.get_path(&path).ok().map(|entry| entry.id());
            Ok((entry, commit.parent_id(0).ok()))
        };
        let mut found = Vec::new();
        let mut next = self.head;
        let mut here = next.map(entry_of).transpose()?;
        while let (Some(oid), Some((entry, parent))) = (next, here) {
            let before = parent.map(entry_of).transpose()?;
            if entry != before.and_then(|(entry, _)| entry) {
                let commit = self.repository.find_commit(oid).map_err(broken)?;
                found.push((commit.time(), commit.author().name_bytes().to_vec()));
                if found.len() == limit {
                    break;
                }
            }
            (next, here) = (parent, before);
        }
        Ok(std::hint::black_box(found).len())
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        let mut found = Vec::new();
        for oid in self.walk(Sort::NONE)?.take(limit) {
            let commit = self.repository.find_commit(oid.map_err(broken)?).map_err(broken)?;
            found.push((commit.time(), commit.author().name_bytes().to_vec(), commit.tree_id()));
        }
        Ok(std::hint::black_box(found).len())
    }

    fn replay(&mut self) -> Outcome<u64> {
        Err(Failure::Cannot("a version is a tree: there is nothing to replay"))
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        let commit = self.commit_of(version)?;
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(broken)?;
        self.flow_in(&tree)
    }

    fn flush(&mut self) -> Outcome<()> {
        let folder = std::fs::File::open(&self.path).map_err(broken)?;
        rustix::fs::syncfs(folder).map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let mut pack = self.repository.packbuilder().map_err(broken)?;
        pack.set_threads(0);
        pack.insert_walk(&mut self.walk(Sort::TOPOLOGICAL)?).map_err(broken)?;
        let objects = self.path.join("objects");
        pack.write(&objects.join("pack"), 0o644).map_err(broken)?;
        for folder in std::fs::read_dir(&objects).map_err(broken)? {
            let folder = folder.map_err(broken)?;
            if folder.file_name().len() == 2 {
                std::fs::remove_dir_all(folder.path()).map_err(broken)?;
            }
        }
        Ok(())
    }
}
