//! `rbuild sign`, `rbuild verify-signature` and `rbuild build --sign`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use builder::Session;
use builder::error::{Categorised, Category};
use builder::event::StepId;
use builder::request::{BuildOutcome, OutputKind, Push};
use builder::signing::{KeyError, Passphrase, SealedKeyError, SigningKey, VerifyingKey};
use builder::toolchain::{self, Place, SignOptions, SignatureForm, SignedParts};
use oci::Repository;

use crate::args::{BuildArgs, Global, LabelArg, OutputArg, SignArgs, SignatureFormArg, VerifySignatureArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Where cosign takes a passphrase from.
const PASSPHRASE: &str = "COSIGN_PASSWORD";
/// A key in a variable of the environment.
const IN_VARIABLE: &str = "env://";

/// Signs an image and prints what was signed.
pub fn sign(args: &SignArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::copy::target(&args.image)?;
    let key = private_key(&args.key, "--key", environment)?;
    let identity = args.sign_container_identity.as_deref().map(str::parse::<Repository>).transpose();
    let options = SignOptions {
        parts: if args.recursive { SignedParts::All } else { SignedParts::Top },
        form: match args.form {
            SignatureFormArg::Tag => SignatureForm::Tag,
            SignatureFormArg::Referrer => SignatureForm::Referrer,
        },
        identity: identity.map_err(|error| Failure::usage(format!("--sign-container-identity: {error}")))?,
        annotations: annotations(&args.annotations),
        compression: super::transfer::compression(args.compression),
    };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let signed =
        open.work(async move { toolchain::sign(&session, &place, &key, &options, StepId(0)).await })?;
    for document in signed {
        super::print(&format!("{}\n", document.digest));
    }
    Ok(())
}

/// Checks an image's signatures and prints the payloads of those that count.
pub fn verify(args: &VerifySignatureArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let place = super::place(&args.image)?;
    let text = key_text(&args.key, "--key", environment)?;
    let key = VerifyingKey::from_pem(&text).map_err(|error| unusable("--key", &args.key, &error))?;
    let annotations = annotations(&args.annotations);
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let payloads =
        open.work(async move { toolchain::verify_signature(&session, &place, &key, &annotations).await })?;
    for payload in payloads {
        super::print(&format!("{}\n", String::from_utf8_lossy(&payload.to_bytes())));
    }
    Ok(())
}

/// The key that signs what a build pushes.
pub fn of_build(
    args: &BuildArgs,
    outputs: &[OutputArg],
    environment: &Environment,
) -> Result<Option<SigningKey>, Failure> {
    let Some(key) = &args.sign else { return Ok(None) };
    let pushes =
        |arg: &OutputArg| matches!(&arg.output.kind, OutputKind::Image(image) if image.push != Push::No);
    if !outputs.iter().any(pushes) {
        return Err(Failure::usage(
            "--sign signs what is pushed, and no output pushes: give --push, or sign afterwards with \
             `rbuild sign`",
        ));
    }
    private_key(key, "--sign", environment).map(Some)
}

/// Signs what a build pushed.
pub async fn pushed(session: &Session, outcome: &BuildOutcome, key: &SigningKey) -> Result<(), Failure> {
    let images: BTreeSet<_> = outcome
        .pushed
        .iter()
        .map(|(name, pushed)| name.repository().with_digest(pushed.digest.clone()))
        .collect();
    for image in images {
        let place = Place::Registry(image);
        let done = toolchain::sign(session, &place, key, &SignOptions::default(), StepId(0)).await;
        done.map_err(|error| {
            let failure = Failure::from_error(error.category(), &error);
            let text = format!("error: {place} was pushed and could not be signed\n{}", failure.text);
            Failure { text, ..failure }
        })?;
    }
    Ok(())
}

fn annotations(given: &[LabelArg]) -> BTreeMap<String, String> {
    given.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
}

fn unusable(option: &str, key: &str, error: &KeyError) -> Failure {
    Failure::new(Category::Local, format!("{option}: {key}: {error}"))
}

/// The text of a key: of a file, or of a variable.
fn key_text(key: &str, option: &str, environment: &Environment) -> Result<Vec<u8>, Failure> {
    if let Some(variable) = key.strip_prefix(IN_VARIABLE) {
        let text = environment.non_empty(variable);
        return text
            .map(|text| text.as_bytes().to_vec())
            .ok_or_else(|| Failure::usage(format!("{option}: the variable {variable} holds no key")));
    }
    if let Some((scheme, _)) = key.split_once("://") {
        return Err(Failure::usage(format!(
            "{option}: keys of {scheme}:// are not supported; a file or env://NAME is"
        )));
    }
    std::fs::read(key).map_err(|error| Failure::new(Category::Local, format!("{option}: {key}: {error}")))
}

/// Reads a private key, and asks for its passphrase where it has one that the environment does not say.
fn private_key(key: &str, option: &str, environment: &Environment) -> Result<SigningKey, Failure> {
    let text = key_text(key, option, environment)?;
    let given = environment.get(PASSPHRASE).map(Passphrase::new);
    let failed = |error: KeyError| unusable(option, key, &error);
    match SigningKey::from_pem(&text, given.as_ref()) {
        Err(KeyError::Sealed(SealedKeyError::NoPassphrase)) if std::io::stdin().is_terminal() => {
            let typed = super::login::hidden_line(&format!("Passphrase of {key}: "), "COSIGN_PASSWORD")?;
            SigningKey::from_pem(&text, Some(&Passphrase::new(typed))).map_err(failed)
        }
        read => read.map_err(failed),
    }
}
