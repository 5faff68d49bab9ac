{{/* A file of this chart, told the release's namespace: serinus.file (list . "base/account.yaml") */}}
{{- define "serinus.file" -}}
{{- $top := index . 0 -}}
{{ $top.Files.Get (index . 1) | replace "namespace: serinus-system" (printf "namespace: %s" $top.Release.Namespace) }}
{{- end }}

{{/* A file of policies, told the account and the prefix as well. */}}
{{- define "serinus.policy" -}}
{{- $top := index . 0 -}}
{{ $top.Files.Get (printf "policies/%s.yaml" (index . 1))
   | replace "'serinus-system'" ($top.Release.Namespace | squote)
   | replace "\"'nginx.ingress.kubernetes.io'\"" ($top.Values.annotationPrefix | squote | quote) }}
{{- end }}
