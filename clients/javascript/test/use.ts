// What an app may write, and what it may not: the compiler checks it.
import { InvalidCode, LetsTalk, LetsTalkError, TooManyRequests, verifyWebhook } from "letstalk-client";
import type { SendRequest, VerificationStatus, WebhookEvent } from "letstalk-client";

const letstalk = new LetsTalk({ url: "https://calls.example.com", token: "lt_x", maxRetries: 0 });

export async function prove(request: SendRequest, typed: string): Promise<string> {
  const sent = await letstalk.send({ ...request, locale: "de" }, { idempotencyKey: "order-4711" });
  try {
    const { phone, verified } = await letstalk.verify({ verification_id: sent.verification_id, code: typed });
    const right: true = verified;
    return right ? phone : "";
  } catch (error) {
    if (error instanceof InvalidCode) return `${error.attemptsRemaining ?? 0}`;
    if (error instanceof TooManyRequests || error instanceof LetsTalkError) return `${error.code} ${error.retryAfterSeconds}`;
    throw error;
  }
}

export async function look(status: VerificationStatus): Promise<void> {
  for await (const each of letstalk.iterate({ status })) console.log(each.approved_at?.slice(0, 10));
  const { events } = await letstalk.listEvents({ type: "call.ended", limit: 5 });
  events.forEach(tell);
  await letstalk.speak({ phone: "+12025550142", code: "BNRB-TCQH" });
  // @ts-expect-error: a phone is needed
  await letstalk.send({ locale: "de" });
  // @ts-expect-error: there is no such field
  await letstalk.send({ phone: "+12025550142", lang: "de" });
}

export function tell(event: WebhookEvent): string | null {
  switch (event.type) {
    case "verification.approved":
      return event.data?.verification_id ?? null;
    case "call.ended":
      return event.data?.reason ?? null;
    case "destination.limited":
      return event.data?.until ?? null;
    default:
      return event.event_id;
  }
}

export const received = tell(verifyWebhook({ body: "{}", headers: { "webhook-id": "1" }, secret: ["whsec_1", "whsec_2"] }));
