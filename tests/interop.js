// SPDX-License-Identifier: Apache-2.0
// Sends with npm's web-push what tests/interop.sh expects: node interop.js ENDPOINT-LINE VAPID-PUBLIC VAPID-PRIVATE
'use strict';
const http = require('http');
const https = require('https');
const webpush = require('web-push');

const line = JSON.parse(process.argv[2]);
const vapidDetails = {subject: 'mailto:interop@example.com', publicKey: process.argv[3], privateKey: process.argv[4]};
const subscription = {endpoint: line.endpoint, keys: {p256dh: line.p256dh, auth: line.auth}};

// The library builds the request and always sends it over TLS; a relay on loopback speaks plain HTTP, so
// the same request is sent here.
function post(details) {
	const url = new URL(details.endpoint);
	const client = url.protocol === 'https:' ? https : http;
	return new Promise((resolve, reject) => {
		const request = client.request(url, {method: details.method, headers: details.headers}, (answer) => {
			let text = '';
			answer.on('data', (piece) => { text += piece; });
			answer.on('end', () => resolve({status: answer.statusCode, headers: answer.headers, text}));
		});
		request.on('error', reject);
		request.end(details.body || undefined);
	});
}

async function send(payload, options, expected) {
	const details = webpush.generateRequestDetails(subscription, payload, {vapidDetails, TTL: 60, ...options});
	const answer = await post(details);
	if (answer.status !== expected) {
		throw new Error(`${JSON.stringify(options)}: ${answer.status} ${answer.text}`);
	}
}

(async () => {
	await send('interop aes128gcm', {contentEncoding: 'aes128gcm'}, 201);
	await send('interop aesgcm', {contentEncoding: 'aesgcm'}, 201);
	await send('interop urgent', {urgency: 'high', topic: 'interop'}, 201);
	await send('x'.repeat(3993), {}, 201);
	await send(Buffer.from([0, 1, 254, 255]), {}, 201);
	await send(null, {}, 201);
	// A key that the subscription is not bound to.
	const other = webpush.generateVAPIDKeys();
	await send('foreign', {vapidDetails: {...vapidDetails, ...other}}, 403);
})().catch((error) => {
	console.error(error.message);
	process.exit(1);
});
