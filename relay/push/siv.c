/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-SIV over two blocks of plaintext; names of values are those of RFC 5297. */
#include "relay/push/siv.h"
#include "common/log.h"
#include "common/mem.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { SIV_BLOCK_BYTES = 16, SIV_HALF_BYTES = SIV_KEY_BYTES / 2 };

struct siv {
	EVP_CIPHER_CTX *mac, *counter; /* AES of K1 and of K2, block by block */
	uint8_t mask[SIV_BLOCK_BYTES]; /* what goes into the last block of the MAC beside plaintext */
};

static void siv_xor(uint8_t *to, const uint8_t *with, size_t bytes) {
	for (size_t i = 0; i < bytes; i++) {
		to[i] ^= with[i];
	}
}

static void siv_encrypt(EVP_CIPHER_CTX *aes, const uint8_t *in, uint8_t *out, int bytes) {
	int len = 0;
	if (EVP_EncryptUpdate(aes, out, &len, in, bytes) != 1 || len != bytes) {
		log_fatal("OpenSSL cannot encrypt a token");
	}
}

static EVP_CIPHER_CTX *siv_aes_create(const uint8_t key[SIV_HALF_BYTES]) {
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	if (!aes || EVP_EncryptInit_ex2(aes, EVP_aes_256_ecb(), key, NULL, NULL) != 1 ||
		EVP_CIPHER_CTX_set_padding(aes, 0) != 1) {
		log_fatal("OpenSSL cannot set up AES-256");
	}
	return aes;
}

/* dbl() of section 2.3. */
static void siv_double(uint8_t block[SIV_BLOCK_BYTES]) {
	uint8_t carry = block[0] >> 7;
	for (size_t i = 0; i + 1 < SIV_BLOCK_BYTES; i++) {
		block[i] = (uint8_t)(block[i] << 1 | block[i + 1] >> 7);
	}
	block[SIV_BLOCK_BYTES - 1] = (uint8_t)(block[SIV_BLOCK_BYTES - 1] << 1 ^ (carry ? 0x87 : 0));
}

static void siv_cmac(const uint8_t *key, const void *data, size_t bytes, uint8_t *out) {
	size_t len = 0;
	if (!EVP_Q_mac(NULL, "CMAC", NULL, "AES-256-CBC", NULL, key, SIV_HALF_BYTES, data, bytes, out,
			SIV_BLOCK_BYTES, &len)) {
		log_fatal("OpenSSL cannot compute a CMAC");
	}
}

/*
 * S2V of section 2.4 ends in CMAC(P xorend D), where D depends on the associated text alone. Over
 * two whole blocks that is E(E(P0) ^ P1 ^ D ^ subkey), the subkey being dbl(E(0)).
 */
static void siv_make_mask(struct siv *siv, const uint8_t *key, const char *associated) {
	static const uint8_t zero[SIV_BLOCK_BYTES];
	uint8_t block[SIV_BLOCK_BYTES];
	siv_cmac(key, zero, sizeof zero, siv->mask);
	siv_double(siv->mask);
	siv_cmac(key, associated, strlen(associated), block);
	siv_xor(siv->mask, block, sizeof block);
	siv_encrypt(siv->mac, zero, block, sizeof block);
	siv_double(block);
	siv_xor(siv->mask, block, sizeof block);
	mem_wipe(block, sizeof block);
}

struct siv *siv_create(const uint8_t key[SIV_KEY_BYTES], const char *associated) {
	struct siv *siv = mem_zalloc(sizeof *siv);
	siv->mac = siv_aes_create(key);
	siv->counter = siv_aes_create(key + SIV_HALF_BYTES);
	siv_make_mask(siv, key, associated);
	return siv;
}

void siv_destroy(struct siv *siv) {
	if (!siv) {
		return;
	}
	EVP_CIPHER_CTX_free(siv->mac);
	EVP_CIPHER_CTX_free(siv->counter);
	mem_wipe(siv, sizeof *siv);
	free(siv);
}

static void siv_tag(struct siv *siv, const uint8_t *plain, uint8_t tag[SIV_TAG_BYTES]) {
	uint8_t block[SIV_BLOCK_BYTES];
	siv_encrypt(siv->mac, plain, block, sizeof block);
	siv_xor(block, plain + SIV_BLOCK_BYTES, sizeof block);
	siv_xor(block, siv->mask, sizeof block);
	siv_encrypt(siv->mac, block, tag, sizeof block);
}

/* CTR mode from the tag, section 2.5; two cleared bits keep the count from carrying. */
static void siv_crypt(struct siv *siv, const uint8_t tag[SIV_TAG_BYTES],
	const uint8_t in[SIV_PLAIN_BYTES], uint8_t out[SIV_PLAIN_BYTES]) {
	uint8_t counters[SIV_PLAIN_BYTES], stream[SIV_PLAIN_BYTES];
	memcpy(counters, tag, SIV_BLOCK_BYTES);
	counters[8] &= 0x7f;
	counters[12] &= 0x7f;
	memcpy(counters + SIV_BLOCK_BYTES, counters, SIV_BLOCK_BYTES);
	for (size_t i = SIV_PLAIN_BYTES - 1; ++counters[i] == 0; i--) {
	}
	siv_encrypt(siv->counter, counters, stream, sizeof counters);
	memmove(out, in, SIV_PLAIN_BYTES);
	siv_xor(out, stream, sizeof stream);
}

void siv_seal(struct siv *siv, const uint8_t plain[SIV_PLAIN_BYTES],
	uint8_t out[SIV_TAG_BYTES + SIV_PLAIN_BYTES]) {
	siv_tag(siv, plain, out);
	siv_crypt(siv, out, plain, out + SIV_TAG_BYTES);
}

bool siv_open(struct siv *siv, const uint8_t sealed[SIV_TAG_BYTES + SIV_PLAIN_BYTES],
	uint8_t out[SIV_PLAIN_BYTES]) {
	uint8_t tag[SIV_TAG_BYTES];
	siv_crypt(siv, sealed, sealed + SIV_TAG_BYTES, out);
	siv_tag(siv, out, tag);
	if (!mem_equal_secret(tag, sealed, sizeof tag)) {
		mem_wipe(out, SIV_PLAIN_BYTES);
		return false;
	}
	return true;
}
