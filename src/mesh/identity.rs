//! Who this sidecar is: its key, and its node's word for that key.
//!
//! Takes a key file and a Kubo, gives an [`Identity`] that signs envelopes and
//! receipts. The node key never leaves Kubo; it signs a binding of a day, anew
//! each half day. X25519 prekeys for sealing join the binding here.

mod files;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ed25519_dalek::SigningKey;
use libp2p_identity::PeerId;
use parking_lot::RwLock;
use tracing::{info, warn};

use self::files::Files;
use super::{
    clock::{unix_ms, unix_s},
    session::Party,
};
use crate::{
    kubo,
    model::{Binding, BindingBody, BootId, Receipt},
    task::Tasks,
    wire::{
        KeyId, Refusal,
        binding::{self, BINDING_TAG, MAX_LIFE_S},
        dagcbor, receipt,
    },
};

/// A binding begins so long before it is made, so that what was begun a moment
/// ago is covered, by a clock that was set back too.
const BACKDATED_S: u64 = 3_600;
const HALF_LIFE: Duration = Duration::from_secs(MAX_LIFE_S / 2 - BACKDATED_S);
const RENEW_RETRY: Duration = Duration::from_secs(30);
/// Bindings kept for receipts of attempts that began under them.
const MAX_BINDINGS: usize = 4;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Others can read the key.
    #[error("{} has mode {mode:o}: others can read it; 600 is due", path.display())]
    KeyMode {
        /// The key file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file holds no key.
    #[error("{} holds no key of 32 bytes", path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Randomness,
    /// Kubo did not sign.
    #[error("kubo did not sign the binding: {0}")]
    Kubo(#[from] kubo::Error),
    /// Kubo's node key is not Ed25519, or it signed something else.
    #[error("the node key of {peer} cannot be checked: {refusal}; an Ed25519 identity is due")]
    NodeKey {
        /// The node.
        peer: PeerId,
        /// What the check said.
        refusal: Refusal,
    },
}

impl Error {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the same may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Kubo(error) if error.retryable())
    }
}

/// This sidecar's identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    peer: PeerId,
    boot: BootId,
    kid: KeyId,
    key: SigningKey,
    files: Files,
    /// The newest last; never empty.
    bindings: RwLock<(Vec<Binding>, Binding)>,
}

impl Identity {
    /// Reads or makes the key at `key` (its serial lies beside it) and has the
    /// node key of `kubo` bind it to this start.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(key: &Path, kubo: &kubo::Client) -> Result<Self, Error> {
        let files = Files::at(key);
        let key = files.key()?;
        let peer = kubo.id().await?.peer;
        let boot = fresh_boot()?;
        let newest = bind(&files, &key, peer, boot, kubo).await?;
        let kid = KeyId::of(&key.verifying_key());
        let bindings = RwLock::new((Vec::new(), newest));
        Ok(Self {
            inner: Arc::new(Inner {
                peer,
                boot,
                kid,
                key,
                files,
                bindings,
            }),
        })
    }

    /// Renews the binding at half-life for as long as `tasks` live.
    pub fn keep_bound(&self, kubo: kubo::Client, tasks: &Tasks) {
        let identity = self.clone();
        tasks.spawn("identity.renew", async move {
            identity.renew_for_ever(&kubo).await;
        });
    }

    async fn renew_for_ever(&self, kubo: &kubo::Client) {
        let mut pause = HALF_LIFE;
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.renew(kubo).await {
                Ok(()) => HALF_LIFE,
                Err(error) => {
                    warn!(%error, "the binding could not be renewed");
                    RENEW_RETRY
                }
            };
        }
    }

    /// Has the node key bind the sidecar key anew.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn renew(&self, kubo: &kubo::Client) -> Result<(), Error> {
        let Inner {
            peer,
            boot,
            key,
            files,
            ..
        } = &*self.inner;
        let next = bind(files, key, *peer, *boot, kubo).await?;
        info!(
            binding.serial = next.body.serial,
            "the node key bound the sidecar key"
        );
        let (older, newest) = &mut *self.inner.bindings.write();
        older.push(std::mem::replace(newest, next));
        if older.len() >= MAX_BINDINGS {
            older.remove(0);
        }
        Ok(())
    }

    /// The node's peer ID.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.inner.peer
    }

    /// This start of the sidecar.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.inner.boot
    }

    /// The sidecar key's name.
    #[must_use]
    pub fn kid(&self) -> KeyId {
        self.inner.kid.clone()
    }

    /// The current binding.
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.inner.bindings.read().1.clone()
    }

    /// Fills in the binding that covers the receipt's time and signs; gives the
    /// canonical bytes.
    ///
    /// # Errors
    /// [`Refusal::Unencodable`], in theory only.
    pub fn sign_receipt(&self, mut receipt: Receipt) -> Result<Vec<u8>, Refusal> {
        receipt.binding = self.binding_at(receipt.started / 1_000);
        dagcbor::encode(&receipt::sign(receipt, &self.inner.key)?)
    }

    fn binding_at(&self, unix_s: u64) -> Binding {
        let (older, newest) = &*self.inner.bindings.read();
        let covers = |b: &&Binding| (b.body.not_before..=b.body.expires).contains(&unix_s);
        let found = std::iter::once(newest)
            .chain(older.iter().rev())
            .find(covers);
        found.unwrap_or(newest).clone()
    }

    /// The identity of a node of the tests, bound like this.
    #[cfg(test)]
    pub(crate) fn of_node(node: &crate::wire::testing::Node, binding: Binding) -> Self {
        Self {
            inner: Arc::new(Inner {
                peer: node.peer,
                boot: binding.body.boot,
                kid: node.kid(),
                key: node.key.clone(),
                files: Files::at(Path::new("/nowhere/key")),
                bindings: RwLock::new((Vec::new(), binding)),
            }),
        }
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.inner.key
    }

    pub(super) fn party(&self) -> Party {
        Party {
            peer: self.peer(),
            kid: self.kid(),
            boot: self.boot(),
        }
    }
}

async fn bind(
    files: &Files,
    key: &SigningKey,
    peer: PeerId,
    boot: BootId,
    kubo: &kubo::Client,
) -> Result<Binding, Error> {
    let now = unix_s();
    let not_before = now.saturating_sub(BACKDATED_S);
    let body = BindingBody {
        timerose: BINDING_TAG.to_owned(),
        peer: peer.to_string(),
        key: key.verifying_key().as_bytes().to_vec(),
        prekeys: Vec::new(),
        boot,
        not_before,
        expires: not_before + MAX_LIFE_S,
        serial: files.next_serial(now)?,
    };
    let refused = |refusal| Error::NodeKey { peer, refusal };
    let sig = kubo
        .sign(&binding::signing_bytes(&body).map_err(refused)?)
        .await?;
    let binding = Binding { body, sig };
    binding::verify(&binding, now).map_err(refused)?;
    Ok(binding)
}

fn fresh_boot() -> Result<BootId, Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|_| Error::Randomness)?;
    Ok(BootId::new(unix_ms(), u128::from_be_bytes(bits)))
}
