//! JWE beside the text of its standard, and hostile documents.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::*;

/// The key and the JWE of RFC 7516, appendix A.1; its payload is known.
const RFC_MODULUS: &str = "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw";
const RFC_D: &str = "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ";
const RFC_P: &str = "1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0";
const RFC_Q: &str = "wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc";
const RFC_JWE: &str = r#"{"protected":"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ","encrypted_key":"OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg","iv":"48V1_ALb6US04U3b","ciphertext":"5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A","tag":"XFBoMYUZodetZdvTiFvSkQ"}"#;

fn number(text: &str) -> rsa::BoxedUint {
    let bytes = BASE64URL.decode(text).unwrap();
    let bits = u32::try_from(bytes.len() * 8).unwrap();
    rsa::BoxedUint::from_be_slice(&bytes, bits).unwrap()
}

fn rfc_key() -> DecryptionKey {
    let primes = vec![number(RFC_P), number(RFC_Q)];
    let key = rsa::PrivateKey::from_components(
        number(RFC_MODULUS),
        rsa::BoxedUint::from(65_537_u64),
        number(RFC_D),
        primes,
    );
    DecryptionKey::Rsa(Box::new(key.unwrap()))
}

fn ec() -> (RecipientKey, DecryptionKey) {
    let key = ephemeral().unwrap();
    (RecipientKey::P256(Box::new(key.public_key())), DecryptionKey::P256(Box::new(key)))
}

#[test]
fn the_jwe_of_the_standard_opens() {
    let secret = open(RFC_JWE.as_bytes(), &[ec().1, rfc_key()]).unwrap();
    assert_eq!(secret, b"The true sign of intelligence is not knowledge but imagination.");
}

#[test]
fn the_key_between_two_parties_is_that_of_the_standard() {
    // RFC 7518, appendix C, has A128GCM as its algorithm: the round is the same with our own name in it.
    let shared = [7; 32];
    let mut text = vec![0, 0, 0, 1];
    text.extend(shared);
    text.extend(b"\0\0\0\x0eECDH-ES+A256KW\0\0\0\x05Alice\0\0\0\x03Bob\0\0\x01\0");
    let expected: [u8; 32] = Sha256::digest(&text).into();
    assert_eq!(between(&shared, b"Alice", b"Bob"), expected);
}

#[test]
fn every_recipient_opens_a_secret_and_nobody_else() {
    let ((one, own_one), (two, own_two), (_, stranger)) = (ec(), ec(), ec());
    let DecryptionKey::Rsa(rsa) = rfc_key() else { unreachable!() };
    let third = RecipientKey::Rsa(Box::new(rsa.to_public_key()));
    for recipients in [vec![one.clone()], vec![one, two, third]] {
        let sealed = seal(b"secret", &recipients).unwrap();
        assert_ne!(sealed, seal(b"secret", &recipients).unwrap());
        for (key, opens) in [
            (own_one.clone(), true),
            (own_two.clone(), recipients.len() > 1),
            (rfc_key(), recipients.len() > 1),
            (stranger.clone(), false),
        ] {
            let found = open(&sealed, &[key]);
            assert_eq!(found.as_deref().ok(), opens.then_some(&b"secret"[..]), "{found:?}");
            assert!(opens || matches!(found, Err(JweError::NoKey)), "{found:?}");
        }
    }
}

#[test]
fn a_changed_jwe_stays_closed() {
    let (recipient, key) = ec();
    let sealed: Value = serde_json::from_slice(&seal(b"secret", &[recipient]).unwrap()).unwrap();
    let try_open = |jwe: &Value| open(jwe.to_string().as_bytes(), std::slice::from_ref(&key));
    assert!(try_open(&sealed).is_ok());
    for field in ["protected", "encrypted_key", "iv", "ciphertext", "tag"] {
        let mut bytes = BASE64URL.decode(sealed[field].as_str().unwrap()).unwrap();
        let mut jwe = sealed.clone();
        jwe[field] = json!("!");
        assert!(matches!(try_open(&jwe), Err(JweError::Form(_))), "{field}");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        jwe[field] = json!(BASE64URL.encode(&bytes));
        assert!(try_open(&jwe).is_err(), "{field}");
        bytes.truncate(3);
        jwe[field] = json!(BASE64URL.encode(&bytes));
        assert!(try_open(&jwe).is_err(), "{field}");
    }
    for (header, said) in [
        (json!({ "alg": ECDH, "enc": "A128CBC-HS256" }), "A256GCM"),
        (json!({ "alg": ECDH, "enc": CONTENT, "zip": "DEF" }), "DEF"),
        (json!({ "alg": ECDH, "enc": CONTENT, "crit": ["x"] }), "[\"x\"]"),
    ] {
        let mut jwe = sealed.clone();
        jwe["protected"] = json!(BASE64URL.encode(header.to_string()));
        let error = try_open(&jwe).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    for (name, value) in [("alg", json!("dir")), ("alg", json!(1)), ("epk", json!({})), ("apu", json!("!"))] {
        let header = sealed["protected"].as_str().unwrap();
        let mut header: Value = serde_json::from_slice(&BASE64URL.decode(header).unwrap()).unwrap();
        header[name] = value;
        let mut jwe = sealed.clone();
        jwe["protected"] = json!(BASE64URL.encode(header.to_string()));
        assert!(matches!(try_open(&jwe), Err(JweError::NoKey)), "{name}");
    }
    for text in ["", "{}", "[]", "eyJ9.a.b.c.d"] {
        assert!(matches!(open(text.as_bytes(), &[]), Err(JweError::Form(_))), "{text}");
    }
}
