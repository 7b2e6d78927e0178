# SPDX-License-Identifier: Apache-2.0
# bash completion for bellwire
_bellwire() {
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "login status test jmap apps log register keys unregister block unblock pause resume reconnect move prefer listen send vapid --help --version" -- "$word")
		return
	fi
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--state | --state-dir | --ca | --config | --file | --vapid | --out)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--secret-store)
		mapfile -t COMPREPLY < <(compgen -W "service file" -- "$word")
		return
		;;
	--stream)
		mapfile -t COMPREPLY < <(compgen -W "mains always never" -- "$word")
		return
		;;
	--urgency)
		mapfile -t COMPREPLY < <(compgen -W "very-low low normal high" -- "$word")
		return
		;;
	esac
	case $command in
	login) set -- --config --ca --insecure --no-check --no-start --json --help ;;
	listen) set -- --relay --state --no-state --vapid-key --count --no-ack --raw --ca --insecure --json --help ;;
	send) set -- --message --file --p256dh --auth --pad --vapid --subject --ttl --urgency --topic --ca --insecure --json --help ;;
	vapid) set -- new show --out --json --help ;;
	test) set -- --distributor --ca --insecure --json --help ;;
	prefer) set -- --undo --json --help ;;
	keys) set -- --state-dir --json --help ;;
	register) set -- --vapid-key --json --help ;;
	jmap) set -- add list test pause resume password remove --name --user --session-url --bearer --password-command --secret-store --on-change --on-calendar --on-contacts --on-other --mailbox --accounts --types --notify --on-click --open-url --stream --ca --insecure --config --state-dir --no-start --yes --wait --json --help ;;
	status | apps | log | unregister | block | unblock | pause | resume | reconnect | move) set -- --json --help ;;
	*) set -- ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$word")
}
complete -F _bellwire bellwire
