# SPDX-License-Identifier: Apache-2.0
# fish completion for bellwire
complete -c bellwire -f
complete -c bellwire -n __fish_use_subcommand -a login -d 'set the relay of this device, after checking it'
complete -c bellwire -n __fish_use_subcommand -a status -d 'how the distributor is connected, and if not, why'
complete -c bellwire -n __fish_use_subcommand -a test -d 'send a push through relay and distributor, as to an app'
complete -c bellwire -n __fish_use_subcommand -a jmap -d 'push for your mail: add, list, test, pause or remove a login'
complete -c bellwire -n __fish_use_subcommand -a apps -d 'who gets pushes on this device'
complete -c bellwire -n __fish_use_subcommand -a log -d 'the last events of the distributor'
complete -c bellwire -n __fish_use_subcommand -a register -d 'get a push URL of your own'
complete -c bellwire -n __fish_use_subcommand -a keys -d 'show the push URL of a hook or of a registration of your own'
complete -c bellwire -n __fish_use_subcommand -a unregister -d 'give up a registration'
complete -c bellwire -n __fish_use_subcommand -a block -d 'drop the pushes of a registration'
complete -c bellwire -n __fish_use_subcommand -a unblock -d 'let them come again'
complete -c bellwire -n __fish_use_subcommand -a pause -d 'disconnect until resumed'
complete -c bellwire -n __fish_use_subcommand -a resume -d 'connect again'
complete -c bellwire -n __fish_use_subcommand -a reconnect -d 'try to connect now'
complete -c bellwire -n __fish_use_subcommand -a move -d 'move everything to another relay'
complete -c bellwire -n __fish_use_subcommand -a prefer -d 'make apps choose this distributor among several'
complete -c bellwire -n __fish_use_subcommand -a listen -d 'print pushes as they come, of the distributor or of a relay'
complete -c bellwire -n __fish_use_subcommand -a send -d 'send a message to a push URL'
complete -c bellwire -n __fish_use_subcommand -a vapid -d 'make or show the key that signs what a sender sends'
complete -c bellwire -n '__fish_seen_subcommand_from login' -l config -r -F
complete -c bellwire -n '__fish_seen_subcommand_from login' -l ca -r -F
complete -c bellwire -n '__fish_seen_subcommand_from login' -l insecure
complete -c bellwire -n '__fish_seen_subcommand_from login' -l no-check
complete -c bellwire -n '__fish_seen_subcommand_from login' -l no-start
complete -c bellwire -n '__fish_seen_subcommand_from login' -l json
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l relay -x
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l state -r -F
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l no-state
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l vapid-key -x
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l count -x
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l no-ack
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l raw
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l ca -r -F
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l insecure
complete -c bellwire -n '__fish_seen_subcommand_from listen' -l json
complete -c bellwire -n '__fish_seen_subcommand_from send' -l message -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l file -r -F
complete -c bellwire -n '__fish_seen_subcommand_from send' -l p256dh -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l auth -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l pad -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l vapid -r -F
complete -c bellwire -n '__fish_seen_subcommand_from send' -l subject -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l ttl -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l urgency -x -a 'very-low low normal high'
complete -c bellwire -n '__fish_seen_subcommand_from send' -l topic -x
complete -c bellwire -n '__fish_seen_subcommand_from send' -l ca -r -F
complete -c bellwire -n '__fish_seen_subcommand_from send' -l insecure
complete -c bellwire -n '__fish_seen_subcommand_from send' -l json
complete -c bellwire -n '__fish_seen_subcommand_from vapid' -l out -r -F
complete -c bellwire -n '__fish_seen_subcommand_from vapid' -l json
complete -c bellwire -n '__fish_seen_subcommand_from test' -l distributor -x
complete -c bellwire -n '__fish_seen_subcommand_from test' -l ca -r -F
complete -c bellwire -n '__fish_seen_subcommand_from test' -l insecure
complete -c bellwire -n '__fish_seen_subcommand_from test' -l json
complete -c bellwire -n '__fish_seen_subcommand_from prefer' -l undo
complete -c bellwire -n '__fish_seen_subcommand_from prefer' -l json
complete -c bellwire -n '__fish_seen_subcommand_from keys' -l state-dir -r -F
complete -c bellwire -n '__fish_seen_subcommand_from keys' -l json
complete -c bellwire -n '__fish_seen_subcommand_from register' -l vapid-key -x
complete -c bellwire -n '__fish_seen_subcommand_from register' -l json
complete -c bellwire -n '__fish_seen_subcommand_from status' -l json
complete -c bellwire -n '__fish_seen_subcommand_from apps' -l json
complete -c bellwire -n '__fish_seen_subcommand_from log' -l json
complete -c bellwire -n '__fish_seen_subcommand_from unregister' -l json
complete -c bellwire -n '__fish_seen_subcommand_from block' -l json
complete -c bellwire -n '__fish_seen_subcommand_from unblock' -l json
complete -c bellwire -n '__fish_seen_subcommand_from pause' -l json
complete -c bellwire -n '__fish_seen_subcommand_from resume' -l json
complete -c bellwire -n '__fish_seen_subcommand_from reconnect' -l json
complete -c bellwire -n '__fish_seen_subcommand_from move' -l json
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l name -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l user -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l session-url -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l bearer
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l password-command -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l secret-store -x -a 'service file'
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l on-change -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l on-calendar -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l on-contacts -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l on-other -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l mailbox -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l accounts -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l types -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l notify -x -a 'on off'
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l on-click -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l open-url -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l stream -x -a 'mains always never'
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l ca -r -F
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l insecure
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l config -r -F
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l state-dir -r -F
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l no-start
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l yes
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l wait -x
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -l json
complete -c bellwire -n '__fish_seen_subcommand_from jmap' -a 'add list test pause resume password remove'
complete -c bellwire -n '__fish_seen_subcommand_from vapid' -a 'new show'
