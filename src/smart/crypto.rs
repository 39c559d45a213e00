//! The cryptography of `jsonwebtoken`, done by ring, which TLS needs anyway. The `rsa` crate, its other choice,
//! tells of a private key by its timing (RUSTSEC-2023-0071).

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::EllipticCurve;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    self as by_ring, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA384, RsaKeyPair,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_public,
        ec_pub_components_from_private_key: ec_public,
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

/// Before a token is signed or verified; any number of times.
pub fn install() {
    let _ = RING.install_default();
}

/// A signer or verifier made of one function.
struct By<F> {
    algorithm: Algorithm,
    act: F,
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> signature::Signer<Vec<u8>> for By<F> {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        (self.act)(message).ok_or_else(signature::Error::new)
    }
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> JwtSigner for By<F> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl<F: Fn(&[u8], &[u8]) -> bool> signature::Verifier<Vec<u8>> for By<F> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        if (self.act)(message, signature) { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl<F: Fn(&[u8], &[u8]) -> bool> JwtVerifier for By<F> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn rsa(der: &[u8]) -> Result<RsaKeyPair, Error> {
    RsaKeyPair::from_der(der).map_err(|error| ErrorKind::InvalidRsaKey(error.to_string()).into())
}

fn ec(der: &[u8]) -> Result<EcdsaKeyPair, Error> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, &SystemRandom::new())
        .map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

/// SMART's two: RS384 and ES384.
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let algorithm = *algorithm;
    match algorithm {
        Algorithm::RS384 => {
            let pair = rsa(key.as_bytes())?;
            let act = move |message: &[u8]| {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &SystemRandom::new(), message, &mut out).ok().map(|()| out)
            };
            Ok(Box::new(By { algorithm, act }))
        }
        Algorithm::ES384 => {
            let pair = ec(key.as_bytes())?;
            let act = move |message: &[u8]| {
                pair.sign(&SystemRandom::new(), message).ok().map(|signed| signed.as_ref().to_vec())
            };
            Ok(Box::new(By { algorithm, act }))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let algorithm = *algorithm;
    let rsa: Option<&'static RsaParameters> = match algorithm {
        Algorithm::RS256 => Some(&by_ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&by_ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&by_ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&by_ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&by_ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&by_ring::RSA_PSS_2048_8192_SHA512),
        _ => None,
    };
    let curve: Option<&'static dyn VerificationAlgorithm> = match algorithm {
        Algorithm::ES256 => Some(&by_ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&by_ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&by_ring::ED25519),
        _ => None,
    };
    match (key.kind(), rsa, curve) {
        (DecodingKeyKind::RsaModulusExponent { n, e }, Some(rsa), _) => {
            let (n, e) = (plain(n), plain(e));
            let act = move |message: &[u8], signature: &[u8]| {
                RsaPublicKeyComponents { n: &n, e: &e }.verify(rsa, message, signature).is_ok()
            };
            Ok(Box::new(By { algorithm, act }))
        }
        (DecodingKeyKind::SecretOrDer(point), _, Some(curve)) => {
            let key = UnparsedPublicKey::new(curve, point.clone());
            let act = move |message: &[u8], signature: &[u8]| key.verify(message, signature).is_ok();
            Ok(Box::new(By { algorithm, act }))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

/// Some write leading zeros, which ring refuses.
fn plain(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn rsa_public(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let public: PublicKeyComponents<Vec<u8>> = rsa(der)?.public().into();
    Ok((public.n, public.e))
}

fn ec_public(der: &[u8], _: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>), Error> {
    let pair = ec(der)?;
    // Uncompressed: 4, x, y.
    let (x, y) = pair.public_key().as_ref().get(1..97).ok_or(ErrorKind::InvalidEcdsaKey)?.split_at(48);
    Ok((EllipticCurve::P384, x.to_vec(), y.to_vec()))
}
