//! What the defences are called.

/// Writes the list once: the enum, all of it in order, and the names.
macro_rules! defences {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A line of defence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defence {
            $($(#[$doc])* $name,)*
        }

        impl Defence {
            /// All of them.
            pub const ALL: &[Defence] = &[$(Defence::$name,)*];

            /// What it is called.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Defence::$name => stringify!($name),)*
                }
            }
        }
    };
}

impl Defence {
    /// The one with a name.
    pub fn named(name: &str) -> Option<Defence> {
        Defence::ALL.iter().copied().find(|defence| defence.name() == name)
    }
}

defences! {
    /// A keeper closes what it inherited.
    InheritedClosed,
    /// All descriptors but three are closed when the step's program is executed.
    OthersClosedOnExec,
    /// A working directory is entered through the descriptor that was found inside the root.
    WorkDirByDescriptor,
    /// The working directory lies below the root.
    WorkDirInside,
    /// No directory becomes one of the three descriptors of a step.
    NoDirectoryAsStdio,
    /// A path inside a root ends at that root, `..` and absolute links included.
    RootEnds,
    /// A path that was found to be free of links is opened without following one.
    NoLinks,
    /// Links on the way to a mount point are read as paths of the root.
    LinksReadInside,
    /// Only a mount point that is as it was made is removed.
    StubsUntouched,
    /// Paths of the kernel's file systems are hidden.
    PathsHidden,
    /// Paths of the kernel's file systems are read-only.
    PathsReadOnly,
    /// `/sys` is read-only.
    SystemReadOnly,
    /// Files that tell the kernel something about a process are the kernel's own.
    ProcessFilesReal,
    /// Capabilities that a step may not have leave the bounding set.
    CapabilitiesBounded,
    /// System calls are filtered.
    CallsFiltered,
    /// System calls of another architecture are filtered, too.
    ForeignCallsFiltered,
    /// No node of a device works but those of `/dev`.
    NodesUseless,
    /// The host's `/dev/null` cannot be changed where it hides something.
    NullReadOnly,
    /// The host's `/dev/null` is no descriptor of a step.
    NullReplaced,
    /// The host's tree is let go before the step runs.
    HostTreeLetGo,
    /// A step has processes of its own.
    OwnProcesses,
    /// A step without a network has one of its own.
    OwnNetwork,
    /// A step has shared memory of its own.
    OwnMemory,
    /// Our executable is read-only in the eyes of a step.
    ExecutableReadOnly,
    /// Nobody inside looks into the process that is an init.
    InitHidden,
    /// The place of a terminal is made, never found.
    ConsoleNew,
    /// A mount without a place for changes is read-only.
    BindReadOnly,
    /// No name of an archive has `..`.
    NamesClean,
    /// Directories of a tree are opened beneath its root, without following a link.
    PathsBeneath,
    /// A file of a tree is made, never found.
    FilesNew,
    /// The times of a link are its own, not those of where it leads.
    TimesUnfollowed,
    /// What overlayfs would take for its own marks does not reach it.
    MarksDefused,
    /// Headers that extend an entry are bounded.
    HeadersBounded,
    /// An entry has one size.
    SizesAgree,
    /// Trees are bounded in depth.
    DepthBounded,
    /// Layers and blobs are compared with their digests.
    ContentVerified,
    /// The directory of a cache mount is named by a hash.
    CacheNamesHashed,
    /// A store is closed to other users.
    StoreClosed,
    /// Links in an image lead to files of the image.
    ReadInside,
    /// Files that are read whole are bounded.
    ReadBounded,
    /// A digest is hexadecimal, and so good for a name of a file.
    DigestsHex,
    /// A document is a manifest or an index, not both.
    DocumentsOneThing,
    /// Documents are compared with their digests.
    DocumentsVerified,
    /// Credentials are shown to the registry alone.
    CredentialsAtHome,
    /// Addresses that a server names are judged by who names them.
    AddressesJudged,
    /// A token server without TLS is on the registry's own host or on this machine.
    RealmsNear,
    /// Answers that are read whole are bounded.
    AnswersBounded,
    /// The number of a user is taken as it is, or refused.
    UserNumbersExact,
    /// What a Dockerfile must not have by itself has to be granted.
    PrivilegesGranted,
    /// Files that are put out do not go through links.
    OutputsUnfollowed,
    /// Passwords in addresses do not get into attestations.
    CredentialsRedacted,
    /// Control characters of a step are shown, not sent.
    LogsEscaped,
}
