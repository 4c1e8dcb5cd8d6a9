/* A STAND-IN for a FIDO security key, for machines without one: a provider library as OpenSSH's sk-api.h has it. What is
 * behind it - `ssh`, `ssh-agent`, `ssh-add`, `sshd`, the signatures and how they are checked - is the real thing.
 *
 * As with many true ones, the key handle is the private key wrapped, here in nothing. A signature that is asked for is
 * a line in the file -DTOUCHES="..."; while there is a file of that name with ".away", nobody touches the
 * key; with ".tired" it gives up at once, with ".unplugged" it is not there.
 * Whoever asks while another does hears that it is not there, as libfido2 has it after a moment: one program at a time.
 * libcrypto is in the program that loads this: its functions are declared here, no headers are needed. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
EVP_PKEY *EVP_PKEY_Q_keygen(void *context, const char *properties, const char *type, ...);
int EVP_PKEY_get_raw_public_key(const EVP_PKEY *, unsigned char *, size_t *);
size_t EVP_PKEY_get1_encoded_public_key(EVP_PKEY *, unsigned char **);
int i2d_PrivateKey(const EVP_PKEY *, unsigned char **);
EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **, const unsigned char **, long);
void EVP_PKEY_free(EVP_PKEY *);
unsigned char *SHA256(const unsigned char *, size_t, unsigned char *);
const EVP_MD *EVP_sha256(void);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *);
int EVP_DigestSignInit(EVP_MD_CTX *, void *, const EVP_MD *, void *, EVP_PKEY *);
int EVP_DigestSign(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);

enum { ECDSA = 0, ED25519 = 1, PATIENCE_MS = 20000, STEP_MS = 10 };
enum { GENERAL = -1, UNSUPPORTED = -2, DEVICE_NOT_FOUND = -4 };

struct sk_option;
struct sk_enroll_response {
  uint8_t flags;
  uint8_t *public_key; size_t public_key_len;
  uint8_t *key_handle; size_t key_handle_len;
  uint8_t *signature; size_t signature_len;
  uint8_t *attestation_cert; size_t attestation_cert_len;
  uint8_t *authdata; size_t authdata_len;
};
struct sk_sign_response {
  uint8_t flags;
  uint32_t counter;
  uint8_t *sig_r; size_t sig_r_len;
  uint8_t *sig_s; size_t sig_s_len;
};

uint32_t sk_api_version(void) { return 0x000a0000; }

int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count) {
  (void)pin, (void)options, (void)keys, (void)count;
  return UNSUPPORTED;
}

int sk_enroll(uint32_t algorithm, const uint8_t *challenge, size_t challenge_len, const char *application,
              uint8_t flags, const char *pin, struct sk_option **options, struct sk_enroll_response **response) {
  (void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
  struct sk_enroll_response *made = *response = calloc(1, sizeof *made);
  EVP_PKEY *key = algorithm == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                       : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  if (made == NULL || key == NULL) return GENERAL;
  made->flags = flags;
  if (algorithm == ED25519) {
    made->public_key = malloc(made->public_key_len = 32);
    EVP_PKEY_get_raw_public_key(key, made->public_key, &made->public_key_len);
  } else {
    made->public_key_len = EVP_PKEY_get1_encoded_public_key(key, &made->public_key);
  }
  made->key_handle_len = i2d_PrivateKey(key, &made->key_handle);
  EVP_PKEY_free(key);
  return 0;
}

/* Counts the question and waits for the finger: as a true key does, not for ever. */
static int touched(void) {
  FILE *touches = fopen(TOUCHES, "a");
  if (touches == NULL || fputs("asked\n", touches) < 0 || fclose(touches)) return 0;
  if (access(TOUCHES ".tired", F_OK) == 0) return 0;
  for (int waited = 0; access(TOUCHES ".away", F_OK) == 0; waited += STEP_MS) {
    if (waited >= PATIENCE_MS) return 0;
    usleep(STEP_MS * 1000);
  }
  return 1;
}

/* The next integer of a DER signature, without the zero in front of a high bit. Returns where the one after begins. */
static const uint8_t *integer(const uint8_t *der, uint8_t **value, size_t *length) {
  size_t zero = der[2] == 0;
  *length = der[1] - zero;
  *value = memcpy(malloc(*length), der + 2 + zero, *length);
  return der + 2 + der[1];
}

int sk_sign(uint32_t algorithm, const uint8_t *data, size_t data_len, const char *application,
            const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin, struct sk_option **options,
            struct sk_sign_response **response) {
  (void)pin, (void)options;
  if (access(TOUCHES ".unplugged", F_OK) == 0) return DEVICE_NOT_FOUND;
  int only = open(TOUCHES ".lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);  /* until this program, ssh-sk-helper, ends */
  if (only < 0 || flock(only, LOCK_EX | LOCK_NB)) return DEVICE_NOT_FOUND;
  if ((flags & 1) && !touched()) return GENERAL;
  struct sk_sign_response *made = *response = calloc(1, sizeof *made);
  EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &handle, handle_len);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (made == NULL || key == NULL || context == NULL) return GENERAL;
  uint8_t message[32 + 1 + 4 + 32] = {0}, signature[80];
  size_t length = sizeof signature;
  SHA256((const uint8_t *)application, strlen(application), message);
  message[32] = made->flags = flags;
  message[36] = made->counter = 1;
  SHA256(data, data_len, message + 37);
  int bad = EVP_DigestSignInit(context, NULL, algorithm == ED25519 ? NULL : EVP_sha256(), NULL, key) != 1 ||
            EVP_DigestSign(context, signature, &length, message, sizeof message) != 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  if (bad) return GENERAL;
  if (algorithm == ED25519) {
    made->sig_r = memcpy(malloc(length), signature, made->sig_r_len = length);
  } else {
    integer(integer(signature + 2, &made->sig_r, &made->sig_r_len), &made->sig_s, &made->sig_s_len);
  }
  return 0;
}
