//! The store: blobs, layers, snapshots, cache records, names of images, leases.
//!
//! A layer is a directory in the form of an overlay upper directory; a snapshot is an ordered list of
//! layers. Files are the truth and SQLite is only an index: deleting it costs cached records. Everything
//! unfinished lies below the lease of a live process and gets its name by one rename.
//!
//! Absent, on purpose: no mounts, no child processes, no network, no `unsafe`. Foreign names reach the file
//! system only through the `tree` module, foreign archives are read only through [`tar::TarReader`].

mod active;
mod answers;
mod attributes;
mod blobs;
mod builds;
mod cache_mount;
mod check;
mod claim;
mod collect;
mod compare;
mod compress;
mod content;
mod contents;
mod copied;
mod copy;
mod disk;
mod error;
mod evict;
mod file_system;
mod fingerprint;
mod give;
mod gzip;
mod ids;
mod images;
mod index;
mod kept;
mod layers;
mod layout;
mod lease;
mod lock;
mod marks;
mod pack;
mod partial;
mod pins;
mod records;
mod restore;
mod results;
mod sheet;
mod spill;
mod stat_index;
mod states;
mod stop;
mod store;
pub mod tar;
mod tree;
mod truth;
mod unpack;
mod usage;
mod version;
mod view;
mod walk;
mod writer;

pub use active::{ActiveLayer, ActiveRoot, Spent};
pub use answers::Answer;
pub use attributes::{Attributes, Entry, Kind, Time};
pub use blobs::BlobWriter;
pub use builds::{BuildId, JournalEntry, UnfinishedBuild};
pub use cache_mount::{CacheMount, KeptMount, Sharing};
pub use check::{Damage, Repair};
pub use claim::Claim;
pub use collect::{Collected, Keep};
pub use compare::{Difference, Side};
pub use compress::{Compressor, open_layer_stream};
pub use contents::KnownContents;
pub use copied::CopiedPart;
pub use error::{Result, StoreError};
pub use evict::{Evicted, EvictionPlan, MountsGo, Quota};
pub use give::give_to;
pub use ids::{CacheKey, ContentId, HashIdError, LayerId, LayerIdError, ResultId, Snapshot};
pub use images::{StoredImage, StoredVariant};
pub use kept::KeptNode;
pub use layers::{Layer, Origin};
pub use lease::Lease;
pub use pack::{ArchiveTimes, Packed, Packing};
pub use partial::StagedBlob;
pub use pins::{Pin, PinReview, UnfinishedPin};
pub use records::{Component, Record, RecordInput};
pub use restore::PackedLayer;
pub use results::CachedResult;
pub use spill::Spill;
pub use stat_index::{StatIndex, StatKey};
pub use stop::{Stop, Stoppable};
pub use store::{Mounting, Store};
pub use unpack::{PendingLayer, Unpacked};
pub use usage::Usage;
pub use version::{IdRange, IdRanges, Mode, OpenOptions, mode_of_store};
pub use view::{StackView, Walk};
pub use writer::{Content, LayerWriter};
